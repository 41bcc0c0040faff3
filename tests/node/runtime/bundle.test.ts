import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test as plain } from 'node:test';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { pushResult, requestOf, reply, test } from './harness.ts';

const RUNTIME = '../../django_cfg/apps/centrifugo/codegen/runtime/typescript/rpc-client.ts';

async function bundle(contents: string): Promise<string> {
  const built = await build({
    stdin: { contents, resolveDir: process.cwd(), loader: 'ts' },
    bundle: true,
    write: false,
    format: 'esm',
    target: 'es2022',
    external: ['centrifuge'],
    minifySyntax: true,
  });
  return built.outputFiles[0]?.text ?? '';
}

void plain('the import alone does nothing', async () => {
  const text = await bundle(`import '${RUNTIME}';`);
  assert.match(text, /^(\/\/.*\n)*import \{ Centrifuge \} from "centrifuge";\n$/);
});

void plain('what is not used is not bundled', async () => {
  const text = await bundle(`export { RPCErrorCode } from '${RUNTIME}';`);
  assert.match(text, /method_not_found/);
  assert.doesNotMatch(text, /class|new Set/);
});

test('a process ends by itself after disconnect, with no timer left of calls that ended in any way', async ({ server }) => {
  server.answers.publish = (command) => {
    const { method } = requestOf(command);
    if (method === 'refused') return command.connection.send({ id: command.id, error: { code: 1007, message: 'no' } });
    reply(command);
    if (method === 'answered') pushResult(command, 1);
  };
  const program = fileURLToPath(new URL('exit.child.mjs', import.meta.url));
  const child = spawn(process.execPath, [program, server.url], { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const overdue = setTimeout(() => child.kill(), 15_000);
  const [status] = (await once(child, 'close')) as [number | null];
  clearTimeout(overdue);
  assert.deepEqual([status, output], [0, 'timeout,cancelled,internal_error,outcome_unknown\n']);
});
