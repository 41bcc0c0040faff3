/** The element of that selector under `root`; the templates hold all that is asked for. */
export function find<T extends HTMLElement>(selector: string, root: ParentNode = document): T {
  const element = root.querySelector<T>(selector);
  if (!element) throw new Error(`the page has no ${selector}`);
  return element;
}

/** A new copy of the only element in a template. */
export function stamp<T extends HTMLElement>(template: string): T {
  const copy = find<HTMLTemplateElement>(template).content.cloneNode(true) as DocumentFragment;
  return copy.firstElementChild as T;
}
