// Tokens that nobody has any more: forgotten after one look, and never kept before they are known to be good.
import assert from 'node:assert/strict'
import { beforeEach, test } from 'node:test'

Object.assign(globalThis, { document: { baseURI: 'http://localhost/' } })
const { get, keepToken, token } = await import('../src/lib/api')
const { ownerOf, start, who } = await import('../src/lib/session')

const GOOD = 'xr_good'
/** The token of each request, with what was asked for. */
const asked: string[] = []
/** The status for a wrong token: of `whoami`, and of all else. */
let refusedWith = 401
let othersWith = 401
globalThis.fetch = async (address, given) => {
  const shown = new Headers(given?.headers).get('authorization')
  asked.push(`${new URL(String(address)).pathname} ${shown ?? '-'}`)
  if (shown !== null && shown !== `Bearer ${GOOD}`) {
    const status = String(address).endsWith('/whoami') ? refusedWith : othersWith
    return Response.json({ detail: 'no token of this server is like that' }, { status })
  }
  return Response.json({ name: shown && 'ann', role: 'read', has_token: shown !== null })
}
/** Until all that was begun is done: nothing here waits for a clock. */
const settle = () => new Promise(resolve => setImmediate(() => setImmediate(() => setImmediate(resolve))))

start()
beforeEach(async () => {
  refusedWith = 401
  keepToken('')
  await settle()
  asked.length = 0
})

test('a token that was taken away is looked at once more, and forgotten', async () => {
  keepToken('xr_taken_away')
  await Promise.allSettled([get('status'), get('orders'), get('problems')])
  await settle()
  assert.equal(token.value, '')
  assert.equal(who.value.has_token, false)
  assert.equal(asked.filter(one => one.startsWith('/api/v1/whoami Bearer')).length, 2)
  asked.length = 0
  await get('status')
  assert.deepEqual(asked, ['/api/v1/status -'])
})

test('a good one stays, and so does one that was not looked at', async () => {
  keepToken(GOOD)
  await settle()
  assert.equal(who.value.has_token, true)
  refusedWith = 429
  keepToken('xr_not_looked_at')
  await settle()
  assert.equal(token.value, 'xr_not_looked_at')
})

test('where nobody looked at it, it is looked at when it is refused again', async () => {
  refusedWith = 429
  keepToken('xr_taken_away')
  await settle()
  await get('status').catch(() => {})
  await settle()
  assert.equal(token.value, 'xr_taken_away')
  refusedWith = 401
  await get('status').catch(() => {})
  await settle()
  assert.equal(token.value, '')
})

test('what is refused is told to whoever pasted it, by one request, and not kept', async () => {
  keepToken(GOOD)
  await settle()
  asked.length = 0
  await assert.rejects(ownerOf('xr_mistyped'), /no token of this server/)
  await settle()
  assert.deepEqual(asked, ['/api/v1/whoami Bearer xr_mistyped'])
  assert.equal(token.value, GOOD)
  assert.equal((await ownerOf(GOOD)).has_token, true)
})

test('an answer to the token before says nothing of the one that is kept', async () => {
  keepToken('xr_old')
  keepToken(GOOD)
  await settle()
  assert.equal(token.value, GOOD)
  assert.equal(who.value.has_token, true)
})
