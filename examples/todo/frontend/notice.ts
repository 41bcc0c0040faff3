import { find } from './dom';

/** What `send_notification` delivers, as far as it is shown. */
export interface Notification {
  title: string;
  message: string;
}

/** The last notification, until the user closes it. */
export class Notice {
  readonly #box: HTMLElement;

  constructor(box: HTMLElement) {
    this.#box = box;
    find('button', box).addEventListener('click', () => void (box.hidden = true));
  }

  show({ title, message }: Notification): void {
    find('strong', this.#box).textContent = title;
    find('span', this.#box).textContent = message;
    this.#box.hidden = false;
  }
}
