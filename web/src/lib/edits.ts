// What an edit asks for, of what its fields say.
//
// Knows: that an empty text takes a key out, and an empty day leaves it as it is.  Does not know: fields, the API.

/** A day that is set, taken out (null), or left as it is (empty). */
export type Day = string | null

/** The keys of an edit that differ from what stands there; an empty text takes a key out. */
export function changedTexts(fields: Record<string, readonly [before: string | null, now: string]>): Record<string, string | null> {
  const found: Record<string, string | null> = {}
  for (const [key, [before, now]] of Object.entries(fields)) {
    if (now.trim() !== (before ?? '').trim()) found[key] = now.trim() || null
  }
  return found
}

/** The same of days; with `until` goes `through`, which says the same in other words. */
export function changedDays(days: Record<string, Day>): Record<string, string | null> {
  const found: Record<string, string | null> = {}
  for (const [key, day] of Object.entries(days)) {
    if (day === '') continue
    found[key] = day
    if (key === 'until') found['through'] = null
  }
  return found
}

/** Those that say something; for what is new. */
export function given(keys: Record<string, string | null>): Record<string, string> {
  return Object.fromEntries(Object.entries(keys).filter((pair): pair is [string, string] => Boolean(pair[1])))
}

/** Whether a request is refused by nothing but safety rules, which can be overruled. */
export function isForcible(error: unknown): boolean {
  const problems = (error as { more?: Record<string, unknown> } | null)?.more?.['problems']
  return Array.isArray(problems) && problems.length > 0 && problems.every(one => (one as { forcible?: unknown })?.forcible === true)
}

/** Lines as one. */
export function wordsOf(lines: unknown): string {
  return String(lines)
    .split('\n')
    .map(line => line.trim())
    .filter(Boolean)
    .join('; ')
}

/** Names, one in a line or separated by commas. */
export function namesOf(text: string): string[] {
  return [...new Set(text.split(/[\s,;]+/).filter(Boolean))]
}
