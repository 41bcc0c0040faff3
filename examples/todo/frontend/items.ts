import type { TodoItem } from '../clients/typescript';
import { find } from './dom';
import { Row, type Actions } from './row';

/** Where the focus was: in which row, on which of its controls. */
interface Place {
  position: number;
  control: string;
}

/** The list of todos: rows are kept and moved, never drawn anew, so that the focus stays where it is. */
export class Items {
  readonly #list: HTMLElement;
  readonly #actions: Actions;
  readonly #rows = new Map<number, Row>();

  constructor(list: HTMLElement, actions: Actions) {
    this.#list = list;
    this.#actions = actions;
  }

  /** `quietly`: without marking what is new, as for the first time or another filter. */
  show(todos: readonly TodoItem[], quietly: boolean): void {
    const focused = this.#focused();
    this.#keepOnly(new Set(todos.map((todo) => todo.id)));
    todos.forEach((todo, position) => {
      const row = this.#rows.get(todo.id) ?? this.#add(todo);
      if (row.update(todo) && !quietly) row.mark();
      const there = this.#list.children[position];
      if (there !== row.element) this.#list.insertBefore(row.element, there ?? null);
    });
    this.#list.setAttribute('aria-busy', 'false');
    if (focused && !this.#list.contains(document.activeElement)) this.#focusNear(focused);
  }

  #add(todo: TodoItem): Row {
    const row = new Row(todo, this.#actions);
    this.#rows.set(todo.id, row);
    return row;
  }

  #keepOnly(ids: ReadonlySet<number>): void {
    for (const [id, row] of this.#rows) {
      if (ids.has(id)) continue;
      row.element.remove();
      this.#rows.delete(id);
    }
  }

  #focused(): Place | undefined {
    const element = document.activeElement;
    const item = element?.closest('.item');
    if (!element || !item) return undefined;
    const control = ['.edit', '.delete'].find((selector) => element.matches(selector)) ?? '.tick input';
    return { position: [...this.#list.children].indexOf(item), control };
  }

  /** The row with the focus is gone: the one in its place gets it, or the field for a new todo. */
  #focusNear({ position, control }: Place): void {
    const heir = this.#list.children[position] ?? this.#list.lastElementChild;
    (heir ? find(control, heir) : find('#new-title')).focus();
  }
}
