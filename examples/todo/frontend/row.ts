import type { TodoItem } from '../clients/typescript';
import { find, stamp } from './dom';

/** What a row asks of the server. Each resolves when it has answered, with nothing when it has refused. */
export interface Actions {
  tick(todo: TodoItem, completed: boolean): Promise<TodoItem | undefined>;
  rename(todo: TodoItem, title: string): Promise<TodoItem | undefined>;
  remove(todo: TodoItem): Promise<boolean>;
}

/** One todo on the page. While the server has not answered the row is busy and takes no other order. */
export class Row {
  readonly element = stamp<HTMLLIElement>('#item');
  readonly #actions: Actions;
  readonly #checkbox = find<HTMLInputElement>('.tick input', this.element);
  readonly #rename = find<HTMLFormElement>('.rename', this.element);
  readonly #field = find<HTMLInputElement>('.rename input', this.element);
  readonly #edit = find<HTMLButtonElement>('.edit', this.element);
  #todo: TodoItem;
  #shown = '';

  constructor(todo: TodoItem, actions: Actions) {
    this.#todo = todo;
    this.#actions = actions;
    this.element.addEventListener('animationend', () => this.element.classList.remove('changed'));
    this.#checkbox.addEventListener('click', (event) => this.#ticked(event));
    this.#edit.addEventListener('click', () => this.#open());
    find('.title', this.element).addEventListener('dblclick', () => this.#open());
    find('.cancel', this.element).addEventListener('click', () => this.#close());
    find('.delete', this.element).addEventListener('click', () => void this.#delete());
    this.#rename.addEventListener('submit', (event) => this.#submitted(event));
    this.#rename.addEventListener('keydown', (event) => {
      if (event.key === 'Escape') this.#close();
    });
  }

  /** Whether this differs from what was shown. A busy row keeps the tick that its user has just set. */
  update(todo: TodoItem): boolean {
    this.#todo = todo;
    if (!this.#busy) this.#checkbox.checked = todo.completed;
    this.element.classList.toggle('done', todo.completed);
    find('.title', this.element).textContent = todo.title;
    find('.tick span', this.element).textContent = todo.title;
    this.#edit.setAttribute('aria-label', `Rename “${todo.title}”`);
    find('.delete', this.element).setAttribute('aria-label', `Delete “${todo.title}”`);
    const before = this.#shown;
    this.#shown = JSON.stringify([todo.title, todo.completed]);
    return this.#shown !== before;
  }

  /** Draw the eye to it for a moment. */
  mark(): void {
    this.element.classList.add('changed');
  }

  get #busy(): boolean {
    return this.element.getAttribute('aria-busy') === 'true';
  }

  set #busy(busy: boolean) {
    this.element.setAttribute('aria-busy', String(busy));
  }

  #ticked(event: Event): void {
    if (this.#busy) event.preventDefault();
    else void this.#change(this.#actions.tick(this.#todo, this.#checkbox.checked));
  }

  async #submitted(event: Event): Promise<void> {
    event.preventDefault();
    if (this.#busy) return;
    if (this.#field.value === this.#todo.title) this.#close();
    else if (await this.#change(this.#actions.rename(this.#todo, this.#field.value))) this.#close();
  }

  async #delete(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    this.#busy = await this.#actions.remove(this.#todo); // once deleted it stays busy until the list is without it
  }

  async #change(answer: Promise<TodoItem | undefined>): Promise<boolean> {
    this.#busy = true;
    const todo = await answer;
    this.#busy = false;
    this.update(todo ?? this.#todo);
    return todo !== undefined;
  }

  #open(): void {
    if (this.#busy) return;
    this.#field.value = this.#todo.title;
    this.#editing(true);
    this.#field.select();
  }

  #close(): void {
    const hadFocus = this.#rename.contains(document.activeElement);
    this.#editing(false);
    if (hadFocus) this.#edit.focus();
  }

  #editing(on: boolean): void {
    this.#rename.hidden = !on;
    find('.title', this.element).hidden = on;
    find('.actions', this.element).hidden = on;
  }
}
