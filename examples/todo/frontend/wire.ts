import { find, stamp } from './dom';

const KEPT = 12;

/** The panel that shows what travels: calls with their time, and pushes. */
export class Wire {
  readonly #list: HTMLElement;

  constructor(list: HTMLElement) {
    this.#list = list;
  }

  /** Show a call while it lasts and how it ends; its outcome passes through. */
  async watch<R>(method: string, params: object, answer: Promise<R>): Promise<R> {
    const entry = this.#add('call', '↑', method, params);
    const began = performance.now();
    try {
      const result = await answer;
      this.#end(entry, 'call', `${Math.round(performance.now() - began)} ms`);
      return result;
    } catch (error) {
      this.#end(entry, 'failed', 'failed');
      throw error;
    }
  }

  pushed(event: string, data: object): void {
    this.#end(this.#add('push', '↓', event, data), 'push', 'push');
  }

  #add(kind: string, direction: string, name: string, data: object): HTMLElement {
    const entry = stamp<HTMLElement>('#wire-entry');
    entry.dataset['kind'] = kind;
    find('.direction', entry).textContent = direction;
    find('.name', entry).textContent = name;
    find('.time', entry).textContent = '…';
    find('.data', entry).textContent = JSON.stringify(data);
    this.#list.prepend(entry);
    while (this.#list.children.length > KEPT) this.#list.lastElementChild?.remove();
    return entry;
  }

  #end(entry: HTMLElement, kind: string, time: string): void {
    entry.dataset['kind'] = kind;
    find('.time', entry).textContent = time;
  }
}
