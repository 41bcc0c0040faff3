import { find } from './dom';

/** What went wrong, as text with at most one way out. A later success of the same source takes it away, as its user can. */
export class Problem {
  readonly #alert: HTMLElement;
  #source = '';

  constructor(alert: HTMLElement) {
    this.#alert = alert;
    find('button', alert).addEventListener('click', () => this.over(this.#source));
  }

  show(source: string, text: string, wayOut?: { text: string; href: string }): void {
    this.#source = source;
    find('span', this.#alert).textContent = text;
    const link = find<HTMLAnchorElement>('a', this.#alert);
    link.hidden = !wayOut;
    link.textContent = wayOut?.text ?? '';
    link.href = wayOut?.href ?? '';
    this.#alert.hidden = false;
  }

  over(source: string): void {
    if (this.#source === source) this.#alert.hidden = true;
  }
}
