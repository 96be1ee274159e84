// Edits of the blocklist: what is changed, why, and what came of it.
//
// Knows: `POST edits`.  Does not know: files.
import type { VNode } from 'preact'

export function EditExchangeButton(_: { order?: string; exchange?: unknown }): VNode | null {
  return null
}
