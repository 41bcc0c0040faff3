// The Todo page in Chromium. Reads {url, apiKey, screenshots, users: {name: password}} as its argument, asks its parent to
// stop and start the server by a line on standard output, and goes on at a line on standard input.
import assert from 'node:assert/strict';
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';
import { contrasts, names, overflow } from './accessibility.mjs';

const { url, apiKey, screenshots, users } = JSON.parse(process.argv[2]);
const [[first, firstPassword], [second, secondPassword]] = Object.entries(users);
const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const OUTAGE = /^Failed to load resource|^WebSocket connection to|^WebSocket is already in CLOSING or CLOSED state/;

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  headless: true,
  args: [
    '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync',
  ],
});

/** What the browser itself complains about, and where it goes. While `outage` it cannot reach the server, which it says. */
const complaints = [];
const hosts = new Set();
let outage = false;

async function newContext(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, ...options });
  context.setDefaultTimeout(20_000);
  context.on('request', (request) => hosts.add(new URL(request.url()).host));
  context.on('weberror', ({ error }) => complaints.push(String(error())));
  context.on('console', (message) => {
    if (message.type() === 'error' && !(outage && OUTAGE.test(message.text()))) complaints.push(message.text());
  });
  context.on('page', (page) => page.on('websocket', (socket) => hosts.add(new URL(socket.url()).host)));
  return context;
}

async function logIn(page, user, password) {
  await page.goto(url);
  await page.getByLabel('User name').fill(user);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Log in' }).click();
}

/** Waits for the condition; its value, evaluated again and again, is in the message when it stays false. */
async function until(what, probe) {
  const end = Date.now() + 20_000;
  for (;;) {
    const [holds, seen] = await probe();
    if (holds) return;
    if (Date.now() > end) assert.fail(`${what}: ${JSON.stringify(seen)}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

const item = (page, title) => page.getByRole('listitem').filter({ has: page.getByRole('checkbox', { name: title, exact: true }) });
const tick = (page, title) => page.getByRole('checkbox', { name: title, exact: true });
const problem = (page) => page.locator('#problem');
const titles = (page) => page.locator('.item .title').allTextContents();
const state = (page, text) => page.getByRole('status').filter({ hasText: text }).waitFor();
const shows = (page, expected) =>
  until(`the list should be ${JSON.stringify(expected)}`, async () => {
    const seen = await titles(page);
    return [JSON.stringify(seen) === JSON.stringify(expected), seen];
  });
const ticked = (page, title, expected) =>
  until(`${title} should be ${expected ? 'done' : 'open'}`, async () => {
    const seen = await tick(page, title).isChecked();
    return [seen === expected && !(await item(page, title).getAttribute('aria-busy'))?.includes('true'), seen];
  });
const focused = (page, label) =>
  until(`the focus should be on ${label}`, async () => {
    const seen = await page.evaluate(() => document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.id);
    return [seen === label, seen];
  });

async function server(order) {
  process.stdout.write(`${JSON.stringify({ server: order })}\n`);
  await answers.next();
}

async function wrongPassword(page) {
  await logIn(page, first, 'wrong');
  await page.getByRole('alert').filter({ hasText: 'do not match' }).waitFor();
}

async function addsWithTheKeyboard(page) {
  await page.getByText('Nothing here yet').waitFor();
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter'); // the link that skips the header
  await focused(page, 'new-title');
  for (const title of ['Water the plants', 'Call <b>Ann</b>', 'Buy milk']) {
    await page.keyboard.type(title);
    await page.keyboard.press('Enter');
    await item(page, title).waitFor();
    await until('the field should be empty', async () => [(await page.locator('#new-title').inputValue()) === '', title]);
  }
  await focused(page, 'new-title');
  await shows(page, ['Buy milk', 'Call <b>Ann</b>', 'Water the plants']);
}

async function secondWindowFollows(page, other) {
  await shows(other, await titles(page));
  await tick(page, 'Buy milk').focus();
  await page.keyboard.press('Space');
  await ticked(other, 'Buy milk', true);
  await ticked(page, 'Buy milk', true);
  await tick(other, 'Buy milk').click();
  await ticked(page, 'Buy milk', false);
  await other.locator('.entry[data-kind="push"] .name').first().waitFor();
}

async function renamesWithTheKeyboard(page, other) {
  const edit = page.getByRole('button', { name: 'Rename “Call <b>Ann</b>”' });
  await edit.focus();
  await page.keyboard.press('Enter');
  await page.keyboard.type('nothing of this');
  await page.keyboard.press('Escape');
  await focused(page, 'Rename “Call <b>Ann</b>”');
  await page.keyboard.press('Enter');
  await page.keyboard.type('Call Ann');
  await page.keyboard.press('Enter');
  await focused(page, 'Rename “Call Ann”');
  await shows(other, ['Buy milk', 'Call Ann', 'Water the plants']);
}

async function filters(page) {
  await tick(page, 'Call Ann').click();
  await ticked(page, 'Call Ann', true);
  await page.getByRole('radio', { name: 'All' }).focus();
  await page.keyboard.press('ArrowRight');
  await shows(page, ['Buy milk', 'Water the plants']);
  await page.getByText('2 open').waitFor();
  await page.keyboard.press('ArrowRight');
  await shows(page, ['Call Ann']);
  await page.getByRole('radio', { name: 'All' }).check({ force: true });
  await shows(page, ['Buy milk', 'Call Ann', 'Water the plants']);
}

async function showsTheServersWords(page) {
  await page.locator('#new-title').fill('x'.repeat(201));
  await page.getByRole('button', { name: 'Add', exact: true }).click();
  await problem(page).filter({ hasText: 'The todo was not added' }).filter({ hasText: 'at most 200 characters' }).waitFor();
  assert.equal((await page.locator('#new-title').inputValue()).length, 201, 'what was typed is kept');
  await page.locator('#new-title').fill('');
  await problem(page).getByRole('button', { name: 'Dismiss' }).click();
  await problem(page).waitFor({ state: 'hidden' });
}

async function deletes(page, other) {
  await page.getByRole('button', { name: 'Delete “Call Ann”' }).focus();
  await page.keyboard.press('Enter');
  await shows(page, ['Buy milk', 'Water the plants']);
  await shows(other, ['Buy milk', 'Water the plants']);
  await focused(page, 'Delete “Water the plants”');
}

async function remindsInEveryWindow(page, other) {
  await page.getByRole('button', { name: 'Remind me' }).click();
  for (const window of [page, other]) {
    await window.getByRole('status').filter({ hasText: '2 open' }).filter({ hasText: 'The newest: Buy milk' }).waitFor();
    await window.locator('.entry[data-kind="push"]').filter({ hasText: 'todos.reminder' }).first().waitFor();
  }
  await page.getByRole('button', { name: 'Close' }).click();
  await page.locator('#notice').waitFor({ state: 'hidden' });
  assert.ok(await other.locator('#notice').isVisible(), 'the other window keeps its own');
}

async function othersSeeNothing(page) {
  await page.getByText('Nothing here yet').waitFor();
  assert.equal(await page.locator('.entry[data-kind="push"]').count(), 0, 'pushes reached another user');
}

async function survivesARestart(page, other) {
  outage = true;
  await server('stop');
  await state(page, 'Connecting…');
  await tick(page, 'Water the plants').click();
  assert.equal(await item(page, 'Water the plants').getAttribute('aria-busy'), 'true', 'a call without a connection waits');
  await server('start');
  await state(page, 'Connected');
  await state(other, 'Connected');
  await ticked(page, 'Water the plants', true);
  await ticked(other, 'Water the plants', true);
  outage = false;
  assert.ok(await problem(page).isHidden(), await problem(page).textContent());
}

async function saysThatItWasDisconnected(page) {
  const { user_id: user } = await page.evaluate(async () => {
    const headers = { 'X-CSRFToken': document.querySelector('[name=csrfmiddlewaretoken]').value };
    return (await fetch('/centrifugo/token', { method: 'POST', headers })).json();
  });
  const answer = await fetch(`${url}api/disconnect`, { method: 'POST', headers: { 'X-API-Key': apiKey }, body: JSON.stringify({ user }) });
  assert.equal(answer.status, 200);
  await state(page, 'Not connected');
  await problem(page).getByRole('link', { name: 'Try again' }).click();
  await state(page, 'Connected');
}

async function looksRight(page, context) {
  for (const scheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme: scheme, reducedMotion: 'reduce' });
    for (const width of [1280, 390]) {
      await page.setViewportSize({ width, height: 860 });
      await page.screenshot({ path: `${screenshots}/todo-${scheme}-${width}.png`, fullPage: width === 390 });
      assert.deepEqual(await overflow(page), [], `at ${width} px`);
    }
    assert.deepEqual(await contrasts(page), [], `contrast, ${scheme}`);
  }
  assert.deepEqual(await names(context, page), [], 'controls without a name');
}

async function endsWithTheSession(page, other) {
  outage = true; // the browser reports the 401 of the token view
  await other.getByRole('button', { name: 'Log out' }).click();
  await other.getByLabel('User name').waitFor();
  await problem(page).filter({ hasText: 'You are logged out.' }).waitFor();
  await state(page, 'Not connected');
  assert.match(await problem(page).getByRole('link', { name: 'Log in' }).getAttribute('href'), /login/);
}

try {
  const context = await newContext();
  const page = await context.newPage();
  await wrongPassword(page);
  await logIn(page, first, firstPassword);
  await state(page, 'Connected');
  const other = await context.newPage();
  await other.goto(url);
  await state(other, 'Connected');
  const stranger = await (await newContext()).newPage();
  await logIn(stranger, second, secondPassword);
  await state(stranger, 'Connected');

  await addsWithTheKeyboard(page);
  await secondWindowFollows(page, other);
  await renamesWithTheKeyboard(page, other);
  await filters(page);
  await showsTheServersWords(page);
  await deletes(page, other);
  await remindsInEveryWindow(page, other);
  await othersSeeNothing(stranger);
  await saysThatItWasDisconnected(stranger);
  await survivesARestart(page, other);
  await looksRight(page, context);
  await endsWithTheSession(page, other);
  assert.deepEqual(complaints, [], 'errors in the console');
  assert.deepEqual([...hosts], [new URL(url).host], 'requests to other hosts');
} finally {
  await browser.close();
}
process.exit(0); // standard input is still open
