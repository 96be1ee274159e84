// Who the reader is to the server, and what they may change.
//
// Knows: `whoami`, roles, when a token is forgotten.  Does not know: who pastes one.
// Theory: a token that nobody has any more is shown once more, to be sure, and then forgotten: each request with it would
// be a guess to the server, which after some looks at no token of this address, those of others neither.
import { ApiError, addressOf, ask, keepToken, refusedToken, token } from './api'
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

/** Ask who a token belongs to, before it is kept.  Raises ApiError. */
export async function ownerOf(secret: string): Promise<Who> {
  const response = await ask('GET', addressOf('whoami'), { secret })
  return (await response.json()) as Who
}

/** Ask who the token that is kept belongs to; one that nobody has is forgotten. */
export async function learnWho(): Promise<void> {
  const secret = token.value
  try {
    const answer = await ownerOf(secret)
    if (token.value === secret) who.set(answer)
  } catch (error) {
    if (token.value !== secret) return
    who.set(NOBODY)
    if (secret && error instanceof ApiError && error.status === 401) keepToken('')
    // Nobody looked: the next refusal is asked about again.
    else refusedToken.set('')
  }
}

/** Ask now, whenever the token changes, and when it was refused. */
export function start(): void {
  token.hear(() => void learnWho())
  refusedToken.hear(() => {
    if (refusedToken.value && refusedToken.value === token.value) void learnWho()
  })
  void learnWho()
}

/** Whether they may do what needs this role. */
export function may(me: Who, least: Role): boolean {
  return { read: true, edit: me.may_edit, approve: me.may_approve }[least]
}
