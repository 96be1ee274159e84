// Who the reader is to the server, and what they may change.
//
// Knows: `whoami`, roles.  Does not know: tokens' secrets.
import { get, token } from './api'
import { Store } from './store'
import type { Role, Who } from './types'

/** Nobody yet: may read, perhaps, and nothing else. */
const NOBODY: Who = {
  name: null,
  role: 'read',
  has_token: false,
  may_read_records: false,
  may_edit: false,
  may_approve: false,
  changes: 'direct',
}

export const who = new Store<Who>(NOBODY)

/** Ask who the token belongs to.  Raises ApiError. */
export async function learnWho(): Promise<Who> {
  const answer = await get<Who>('whoami')
  who.set(answer)
  return answer
}

/** Ask now, and whenever the token changes. */
export function start(): void {
  const ask = (): void => {
    learnWho().catch(() => who.set(NOBODY))
  }
  token.hear(ask)
  ask()
}

/** Whether they may do what needs this role. */
export function may(me: Who, least: Role): boolean {
  return { read: true, edit: me.may_edit, approve: me.may_approve }[least]
}
