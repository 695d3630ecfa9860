// Elements that are described, and drawn over those there are: what a report does not change keeps its focus, its
// selection and whether it is open. All text goes in as text: nothing here takes HTML.

/**
 * What an element is to be. Children are descriptions, text, lists of them, or nothing (`null`, `false`).
 *
 * `key` is no attribute: among its siblings an element with a key is found again by it, wherever it stands.
 */
export function h(tag, attributes, ...children) {
  const { key, ...others } = attributes ?? {};
  const wanted = children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
  return { tag, key, attributes: others, children: wanted };
}

/** Makes these the children of an element. */
export function draw(place, ...children) {
  const focused = document.activeElement;
  fill(place, h("", null, children).children);
  // A browser takes the focus from what is moved.
  if (focused?.isConnected && document.activeElement !== focused) focused.focus({ preventScroll: true });
}

/** What was last wanted of an element: its key, and the attributes that it got from here. */
const drawn = new WeakMap();

function fill(place, children) {
  const keyed = new Map();
  for (const node of place.children) {
    const key = drawn.get(node)?.key;
    if (key !== undefined) keyed.set(key, node);
  }
  const wanted = new Set(children.map((child) => child.key).filter((key) => key !== undefined));
  let next = place.firstChild;
  for (const child of children) {
    // Those that nobody wants any more go first, so that the others need not move.
    while (next && drawn.get(next)?.key !== undefined && !wanted.has(drawn.get(next).key)) next = dropped(next);
    if (typeof child === "object") {
      const old = child.key === undefined ? next : keyed.get(child.key);
      keyed.delete(child.key);
      const node = isOf(old, child) ? old : document.createElement(child.tag);
      if (node === next) next = next.nextSibling;
      else place.insertBefore(node, next);
      dress(node, child);
      fill(node, child.children);
    } else if (next?.nodeType === Node.TEXT_NODE) {
      if (next.data !== String(child)) next.data = String(child);
      next = next.nextSibling;
    } else {
      place.insertBefore(document.createTextNode(String(child)), next);
    }
  }
  while (next) next = dropped(next);
}

function isOf(node, child) {
  return node?.nodeType === Node.ELEMENT_NODE && node.localName === child.tag && drawn.get(node)?.key === child.key;
}

function dropped(node) {
  const next = node.nextSibling;
  node.remove();
  return next;
}

/** Sets what is wanted otherwise than before, and leaves what the person changed since. */
function dress(node, { key, attributes }) {
  const before = drawn.get(node)?.attributes ?? {};
  for (const [name, value] of Object.entries(attributes)) {
    if (before[name] !== value) node.setAttribute(name, value);
  }
  for (const name of Object.keys(before)) if (!(name in attributes)) node.removeAttribute(name);
  drawn.set(node, { key, attributes });
}
