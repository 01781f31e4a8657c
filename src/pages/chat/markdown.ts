/**
 * The model's Markdown as DOM. Model output is not trusted: raw HTML is shown as text, images are only named, links lead to
 * http(s) and nowhere else, and what marked makes goes through DOMPurify before it touches the page.
 */
import DOMPurify from 'dompurify';
import { Marked, type Token, type Tokens } from 'marked';

const TEXT_TAGS = ['p', 'br', 'hr', 'strong', 'em', 'del', 'code', 'pre', 'blockquote', 'a', 'ul', 'ol', 'li'];
const OTHER_TAGS = ['h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'table', 'thead', 'tbody', 'tr', 'th', 'td'];
const ALLOWED_TAGS = [...TEXT_TAGS, ...OTHER_TAGS];

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

const marked = new Marked({
  gfm: true,
  breaks: true,
  renderer: {
    html: ({ text }: Tokens.HTML | Tokens.Tag) => escapeHtml(text),
    image: ({ text, href }: Tokens.Image) => escapeHtml(`[image: ${text || href}]`),
    checkbox: ({ checked }: Tokens.Checkbox) => (checked ? '☑ ' : '☐ '),
  },
});

const purify = DOMPurify(window);

purify.addHook('afterSanitizeAttributes', (node) => {
  if (node.tagName !== 'A') return;
  node.setAttribute('target', '_blank');
  node.setAttribute('rel', 'noopener noreferrer nofollow');
});

function render(token: Token): DocumentFragment {
  return purify.sanitize(marked.parser([token]), {
    ALLOWED_TAGS,
    ALLOWED_ATTR: ['href', 'start', 'align', 'title'],
    ALLOWED_URI_REGEXP: /^https?:\/\//i,
    RETURN_DOM_FRAGMENT: true,
  });
}

/** A growing Markdown text. Only blocks that changed are rendered again, so what is read does not jump or lose its selection. */
export class MarkdownView {
  readonly element: HTMLElement;
  #blocks: string[] = [];

  constructor(element: HTMLElement) {
    this.element = element;
  }

  update(text: string): void {
    const tokens = marked.lexer(text).filter((token) => token.type !== 'space');
    tokens.forEach((token, i) => {
      if (this.#blocks[i] === token.raw) return;
      this.#blocks[i] = token.raw;
      const block = this.element.children[i] ?? this.element.appendChild(document.createElement('div'));
      block.replaceChildren(render(token));
    });
    this.#blocks.length = tokens.length;
    while (this.element.children.length > tokens.length) this.element.lastElementChild?.remove();
  }
}
