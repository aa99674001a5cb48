// Markdown to HTML: of the text in the event, or of the page that is in the package.

import { readFile } from 'node:fs/promises';
import { Marked } from 'marked';

const SHIPPED = 'wells.md';
const MAX_LENGTH = 1_000_000;

const escape = (text) => text.replace(/[&<>"']/g, (c) => `&#${c.codePointAt(0)};`);

const slug = (text) => text.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, '-').replace(/^-|-$/g, '');

// allowed knows addresses of which a browser can make nothing but a page, whatever is encoded in them.
const allowed = (href) => /^(https?:\/\/|mailto:|#|\/|\.)/i.test(href) || /^[\w.~%/-]+([?#]|$)/.test(href);

// convert returns the HTML of a text, its title and its headings. HTML in the text and addresses that run scripts are not
// taken over: who wrote the text need not be who shows the page.
export function convert(markdown) {
  const headings = [];
  const renderer = {
    html: escape,
    heading(html, depth, raw) {
      const id = slug(raw);
      headings.push({ depth, id, text: raw });
      return `<h${depth} id="${id}">${html}</h${depth}>\n`;
    },
    link: (href, title, html) => (allowed(href) ? false : html),
    image: (href, title, text) => (allowed(href) ? false : escape(text)),
  };
  const html = new Marked({ gfm: true, renderer }).parse(markdown);
  return { title: headings[0]?.text ?? '', html, headings };
}

export async function handler(event) {
  const { markdown = await readFile(new URL(SHIPPED, import.meta.url), 'utf8') } = event ?? {};
  if (typeof markdown !== 'string' || markdown.length > MAX_LENGTH) {
    throw new TypeError(`markdown must be a text of at most ${MAX_LENGTH} characters`);
  }
  const page = convert(markdown);
  console.log('%d characters, %d headings', markdown.length, page.headings.length);
  return page;
}
