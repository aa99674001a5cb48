import assert from 'node:assert/strict';
import { test } from 'node:test';
import { convert, handler } from './index.js';

test('headings have places to link to', () => {
  const page = convert('# A title\n\nText with *emphasis*.\n\n## Über uns\n');
  assert.equal(page.title, 'A title');
  assert.deepEqual(page.headings.map((h) => h.id), ['a-title', 'über-uns']);
  assert.match(page.html, /<h2 id="über-uns">Über uns<\/h2>/);
  assert.match(page.html, /<em>emphasis<\/em>/);
});

test('nothing in a text runs', () => {
  const { html } = convert('<script>alert(1)</script>\n\n[a](javascript:alert(1)) [b](https://example.com) ![c](data:image/png;base64,x) [d](java&#115;cript:alert(1)) [e](a/b.html?c:d)');
  assert.doesNotMatch(html, /<script|script:|data:/);
  assert.match(html, /<a href="a\/b\.html\?c:d">e<\/a>/);
  assert.match(html, /<a href="https:\/\/example\.com">b<\/a>/);
});

test('the page that is in the package', async () => {
  const page = await handler({});
  assert.equal(page.title, 'Artesian wells');
  assert.match(page.html, /<td align="right">548 m<\/td>/);
});

test('what is no text is refused', async () => {
  await assert.rejects(handler({ markdown: 1 }), TypeError);
});
