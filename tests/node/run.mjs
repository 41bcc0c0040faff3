// Compiles a folder of TypeScript tests and runs them: `node run.mjs FOLDER [argument of node --test ...]`.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = fileURLToPath(new URL('.', import.meta.url));
const [folder, ...rest] = process.argv.slice(2);
const sources = readdirSync(join(here, folder)).filter((name) => name.endsWith('.test.ts') || name.endsWith('.child.ts'));

// Below node_modules, because the compiled tests import packages from there.
const cache = join(here, 'node_modules', '.cache');
mkdirSync(cache, { recursive: true });
const output = mkdtempSync(join(cache, `${folder}-`));
try {
  await build({
    entryPoints: sources.map((name) => join(here, folder, name)),
    outdir: output,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    external: ['centrifuge', 'esbuild', 'ws'],
    platform: 'node',
    format: 'esm',
    target: 'node20',
    sourcemap: 'inline',
    logLevel: 'warning',
  });
  const tests = sources.filter((name) => name.endsWith('.test.ts')).map((name) => join(output, name.replace(/\.ts$/, '.mjs')));
  const run = spawnSync(process.execPath, ['--enable-source-maps', '--test', ...rest, ...tests], { cwd: here, stdio: 'inherit', timeout: 240_000 });
  process.exitCode = run.status ?? 1;
} finally {
  rmSync(output, { recursive: true });
}
