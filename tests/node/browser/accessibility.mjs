// What a page can be asked about itself; each answer lists what is wrong.

const CONTROLS = new Set(['button', 'checkbox', 'link', 'radio', 'textbox']);

/** Controls that a screen reader could not name. */
export async function names(context, page) {
  const session = await context.newCDPSession(page);
  const { nodes } = await session.send('Accessibility.getFullAXTree');
  return nodes.filter((node) => !node.ignored && CONTROLS.has(node.role?.value) && !node.name?.value).map((node) => node.role.value);
}

/** Elements that stick out of the window at the side. */
export function overflow(page) {
  return page.evaluate(() => {
    const width = document.documentElement.clientWidth;
    const wide = [...document.querySelectorAll('body *')].filter((element) => element.getBoundingClientRect().right > width + 0.5);
    return document.documentElement.scrollWidth > width ? wide.map((element) => element.className || element.tagName) : [];
  });
}

/** Visible text below the contrast of WCAG 2.2 AA (4.5 to 1), with its ratio. */
export function contrasts(page) {
  return page.evaluate(() => {
    const parse = (colour) => (colour.match(/[\d.]+/g) ?? []).map(Number);
    const luminance = ([r, g, b]) => {
      const [x, y, z] = [r, g, b].map((c) => (c / 255 <= 0.03928 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
      return 0.2126 * x + 0.7152 * y + 0.0722 * z;
    };
    const background = (element) => {
      for (let at = element; at; at = at.parentElement) {
        const colour = parse(getComputedStyle(at).backgroundColor);
        if (colour.length && colour[3] !== 0) return colour;
      }
      return [255, 255, 255];
    };
    const found = [];
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
      const element = texts.currentNode.parentElement;
      if (!texts.currentNode.data.trim() || !element.checkVisibility() || element.closest('.hidden, .skip, noscript, template')) continue;
      const [a, b] = [parse(getComputedStyle(element).color), background(element)].map(luminance).sort((x, y) => y - x);
      const ratio = (a + 0.05) / (b + 0.05);
      if (ratio < 4.5) found.push(`${texts.currentNode.data.trim()}: ${ratio.toFixed(2)}`);
    }
    return found;
  });
}
