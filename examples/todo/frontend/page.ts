import { APIClient, CentrifugoRPCClient, type ClientState, type TodoItem, type TodoListResult } from '../clients/typescript';
import { find } from './dom';
import { Items } from './items';
import { Notice, type Notification } from './notice';
import { Problem } from './problem';
import { fetchToken, LoggedOut, post, type ConnectionToken } from './token';
import { Wire } from './wire';

const LIMIT = 200;
const GATHER_MS = 25; // a reply and the push that it caused arrive together and need one look at the list

type Filter = 'all' | 'open' | 'done';
const COMPLETED = { all: null, open: false, done: true } as const;
const NOTHING = { all: 'Nothing here yet. Add your first todo above.', open: 'Nothing left to do.', done: 'Nothing done yet.' } as const;
const STATES = { connecting: 'Connecting…', connected: 'Connected', disconnected: 'Not connected' } as const;
const NOTIFICATIONS = ['todos.reminder', 'order_update']; // the second is what the documentation's first example sends
const AGAIN = { text: 'Try again', href: '' }; // loads the page again

interface TodosChanged {
  change: 'created' | 'updated' | 'deleted';
  id: number;
}

const addresses = find('#todos').dataset;
const problem = new Problem(find('#problem'));
const notice = new Notice(find('#notice'));
const wire = new Wire(find('#wire'));
const items = new Items(find('#items'), {
  tick: (todo, completed) => update(`“${todo.title}” was not changed`, { id: todo.id, completed }),
  rename: (todo, title) => update(`“${todo.title}” was not renamed`, { id: todo.id, title }),
  remove,
});

const clients = fetchToken(addresses['tokenUrl'] ?? '').then(open);

let live = false;
let filter: Filter = 'all';
let shown: Filter | undefined;
let gathering: ReturnType<typeof setTimeout> | undefined;
let refreshing = false;
let again = false;

function open({ token, user_id }: ConnectionToken): { rpc: CentrifugoRPCClient; api: APIClient } {
  const socket = `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/connection/websocket`;
  const rpc = new CentrifugoRPCClient(socket, token, user_id, {
    getToken: async () => (await fetchToken(addresses['tokenUrl'] ?? '').catch(endIfLoggedOut)).token,
    onState: entered,
    onError: (error) => console.warn(error),
  });
  rpc.on<TodosChanged>('todos.changed', (data) => {
    wire.pushed('todos.changed', data);
    look();
  });
  for (const event of NOTIFICATIONS) {
    rpc.on<Notification>(event, (data) => {
      wire.pushed(event, data);
      notice.show(data);
    });
  }
  return { rpc, api: new APIClient(rpc) };
}

function call<P extends object, R>(method: string, params: P, make: (api: APIClient, params: P) => Promise<R>): Promise<R> {
  return wire.watch(method, params, clients.then(({ api }) => make(api, params)));
}

function entered(state: ClientState): void {
  showState(state);
  if (state === 'connected') {
    problem.over('connection');
    look(); // pushes may be missing after a pause
  } else if (state === 'disconnected') {
    problem.show('connection', 'The connection has ended.', AGAIN);
  }
}

function showState(state: ClientState): void {
  live = state !== 'disconnected';
  const pill = find('#state');
  pill.dataset['state'] = state;
  pill.textContent = STATES[state];
}

/** Nobody is there to connect for; any other failure to get a token is tried again by the client. */
async function endIfLoggedOut(error: unknown): Promise<never> {
  if (error instanceof LoggedOut) {
    await (await clients).rpc.disconnect();
    notConnected(error);
  }
  throw error;
}

function notConnected(error: unknown): void {
  showState('disconnected');
  if (error instanceof LoggedOut) problem.show('connection', error.message, { text: 'Log in', href: addresses['loginUrl'] ?? '' });
  else problem.show('connection', `The connection failed: ${textOf(error)}`, AGAIN);
}

/** Show the list as the server has it, soon, and once for all that asks for it meanwhile. */
function look(): void {
  if (!live) return;
  if (refreshing) again = true;
  else gathering ??= setTimeout(() => void refresh(), GATHER_MS);
}

async function refresh(): Promise<void> {
  gathering = undefined;
  refreshing = true;
  const asked = filter;
  try {
    const params = { completed: COMPLETED[asked], limit: LIMIT };
    const result = await call('todos.list', params, (api, p) => api.todosList(p));
    if (asked === filter) show(result);
    problem.over('list');
  } catch (error) {
    problem.show('list', `The todos could not be loaded: ${textOf(error)}`);
  }
  refreshing = false;
  if (again) look();
  again = false;
}

function show({ todos, total }: TodoListResult): void {
  items.show(todos, shown !== filter);
  shown = filter;
  const noun = filter !== 'all' ? filter : total === 1 ? 'todo' : 'todos';
  find('#count').textContent = `${total > todos.length ? `${todos.length} of ` : ''}${total} ${noun}`;
  const empty = find('#empty');
  empty.hidden = total > 0;
  empty.textContent = NOTHING[filter];
}

async function add(event: Event): Promise<void> {
  event.preventDefault();
  const form = find('#new');
  const title = find<HTMLInputElement>('#new-title');
  if (form.getAttribute('aria-busy') === 'true') return;
  form.setAttribute('aria-busy', 'true');
  title.readOnly = true;
  const params = { title: title.value };
  const added = await change('The todo was not added', call('todos.create', params, (api, p) => api.todosCreate(p)));
  if (added) title.value = '';
  title.readOnly = false;
  form.setAttribute('aria-busy', 'false');
}

async function update(otherwise: string, params: Parameters<APIClient['todosUpdate']>[0]): Promise<TodoItem | undefined> {
  return (await change(otherwise, call('todos.update', params, (api, p) => api.todosUpdate(p))))?.todo;
}

async function remove({ id, title }: TodoItem): Promise<boolean> {
  const answer = await change(`“${title}” was not deleted`, call('todos.delete', { id }, (api, p) => api.todosDelete(p)));
  if (answer) find('#said').textContent = `Deleted “${title}”`;
  return answer !== undefined;
}

/** A plain request: the view calls over RPC, and the answer comes to all windows over their sockets. */
async function remind(): Promise<void> {
  problem.over('remind');
  try {
    const response = await post(addresses['remindUrl'] ?? '');
    const answer = (await response.json()) as { error?: string };
    if (!response.ok) throw new Error(answer.error ?? `HTTP ${response.status}`);
  } catch (error) {
    problem.show('remind', `Nobody was reminded: ${textOf(error)}`);
  }
}

/** What the server answered; when it has refused, its words are shown. Either way the list may have changed. */
async function change<R>(otherwise: string, answer: Promise<R>): Promise<R | undefined> {
  problem.over('change');
  try {
    return await answer;
  } catch (error) {
    problem.show('change', `${otherwise}: ${textOf(error)}`);
    return undefined;
  } finally {
    look();
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

find('#new').addEventListener('submit', (event) => void add(event));
find('#remind').addEventListener('click', () => void remind());
for (const choice of document.querySelectorAll<HTMLInputElement>('input[name="filter"]')) {
  choice.addEventListener('change', () => {
    filter = choice.value as Filter;
    look();
  });
}
clients.then(({ rpc }) => rpc.connect()).catch(notConnected);
