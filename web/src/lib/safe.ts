// Text that strangers chose, made fit to be shown: nothing in it steers the page's text or hides.
//
// Knows: which characters are invisible or turn text around.  Does not know: HTML (Preact writes text, never markup).
// Theory: a name may have any octet, and a browser shows bidi controls by obeying them: `exe.cod` is no `doc.exe`.  So what
// is not seen is shown as its number, apart from the text around it.

/** A stretch of text as it is, or one character that is shown by its number. */
export interface Part {
  text: string
  /** Whether `text` stands for a character that cannot be shown. */
  isEscape: boolean
}

// C0, DEL, C1, soft hyphen, Arabic letter mark, combining grapheme joiner, Hangul fillers, Khmer inherent vowels, Mongolian
// separators, zero width and bidi marks (ZWNJ and ZWJ too), line and paragraph separators, bidi embeddings, invisible operators
// and isolates, blank Braille, variation selectors, BOM, interlinear marks, shorthand and musical controls, tags, lone surrogates.
const UNSEEN =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\u{1bca0}-\u{1bca3}\u{1d173}-\u{1d17a}\u{e0000}-\u{e0fff}]|\p{Surrogate}|\p{Noncharacter_Code_Point}/gu

/** As many combining marks as one letter may carry; more climb over other lines. */
const MARKS_MAX = 3
const PILE = new RegExp(`(\\p{M}{${MARKS_MAX}})(\\p{M}+)`, 'gu')

function numbered(character: string): string {
  return `\\u{${(character.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}}`
}

/** `text` in stretches; those of unseen characters are their numbers. */
export function partsOf(text: string): Part[] {
  const parts: Part[] = []
  let from = 0
  for (const found of text.matchAll(UNSEEN)) {
    if (found.index > from) parts.push({ text: text.slice(from, found.index), isEscape: false })
    parts.push({ text: numbered(found[0]), isEscape: true })
    from = found.index + found[0].length
  }
  if (from < text.length) parts.push({ text: text.slice(from), isEscape: false })
  return parts.flatMap(part => (part.isEscape ? [part] : pilesOf(part.text)))
}

function pilesOf(text: string): Part[] {
  const parts: Part[] = []
  let from = 0
  for (const found of text.matchAll(PILE)) {
    const start = found.index + (found[1] ?? '').length
    parts.push({ text: text.slice(from, start), isEscape: false })
    parts.push({ text: [...(found[2] ?? '')].map(numbered).join(''), isEscape: true })
    from = found.index + found[0].length
  }
  if (from < text.length) parts.push({ text: text.slice(from), isEscape: false })
  return parts
}

/** `text` on one line, for titles and labels. */
export function plain(text: string): string {
  return partsOf(text)
    .map(part => part.text)
    .join('')
}

/** The beginning and the end of a long text, both whole characters; the middle is left out. */
export function clipped(text: string, charactersMax: number): string {
  const characters = [...text]
  if (characters.length <= charactersMax) return text
  const end = Math.floor(charactersMax / 3)
  return `${characters.slice(0, charactersMax - end - 1).join('')}…${characters.slice(-end).join('')}`
}

/** `url` if a reader may be led there: http, https and mailto; else null. */
export function safeLink(url: string | null | undefined): string | null {
  if (!url) return null
  try {
    const parsed = new URL(url)
    return ['http:', 'https:', 'mailto:'].includes(parsed.protocol) ? parsed.href : null
  } catch {
    return null
  }
}
