// Where the reader is: the part of the address behind `#/`.
//
// Knows: how a place is written.  Does not know: the pages.

export interface Place {
  /** `['exchanges', 'okx']` */
  path: string[]
  query: Record<string, string>
}

/** `#/exchanges/okx?range=day` -> the place; broken escapes stay as they are. */
export function placeOf(hash: string): Place {
  const [before = '', after = ''] = hash.replace(/^#?\/?/, '').split('?', 2)
  return {
    path: before.split('/').filter(Boolean).map(decoded),
    query: Object.fromEntries(new URLSearchParams(after)),
  }
}

/** The place as an address within the page. */
export function hrefOf(path: readonly string[], query: Record<string, string> = {}): string {
  const said = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== '')).toString()
  return `#/${path.map(encodeURIComponent).join('/')}${said ? `?${said}` : ''}`
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
