// What the server tells by itself: figures each second, problems and policy when they change.
//
// Knows: `GET events`, when to try again.  Does not know: who shows it.
// Theory: a hidden page listens to nothing; browsers give one site six connections, which many tabs would take.
// The server speaks each second: where it does not for a while, the connection is dead, whatever TCP says.
import { ApiError, addressOf, ask, token } from './api'
import { Store } from './store'
import { EventReader, type ServerEvent, waitBefore } from './stream'
import type { Now, Problem } from './types'

export type Link = 'connecting' | 'live' | 'lost' | 'refused'

/** For how many seconds figures are kept. */
export const KEPT_S = 180
/** For how long the server may be silent. */
export const SILENCE_MS = 10_000

export const link = new Store<Link>('connecting')
export const now = new Store<Now | null>(null)
export const past = new Store<readonly Now[]>([])
export const problems = new Store<readonly Problem[] | null>(null)
/** Changes whenever what the server has in force does: what is shown of it is asked for again. */
export const policyTurn = new Store(0)

function hear(event: ServerEvent): void {
  const data: unknown = JSON.parse(event.data)
  switch (event.event) {
    case 'now':
      now.set(data as Now)
      past.set([...past.value.slice(-(KEPT_S - 1)), data as Now])
      break
    case 'problems':
      problems.set(itemsOf(data))
      break
    case 'policy':
      hearPolicy(data)
      break
  }
}

let lastPolicy = ''

/** The first one is what the page was drawn from. */
function hearPolicy(data: unknown): void {
  const { at: _, ...policy } = data as Record<string, unknown>
  const text = JSON.stringify(policy)
  if (lastPolicy && lastPolicy !== text) policyTurn.set(policyTurn.value + 1)
  lastPolicy = text
}

function itemsOf(data: unknown): readonly Problem[] {
  if (Array.isArray(data)) return data as Problem[]
  const items = (data as { items?: unknown } | null)?.items
  return Array.isArray(items) ? (items as Problem[]) : []
}

async function listen(until: AbortSignal): Promise<void> {
  const silence = new AbortController()
  let timer: ReturnType<typeof setTimeout> | undefined
  const heard = (): void => {
    clearTimeout(timer)
    timer = setTimeout(() => silence.abort(), SILENCE_MS)
  }
  heard()
  try {
    const signal = AbortSignal.any([until, silence.signal])
    const response = await ask('GET', addressOf('events'), { signal, accept: 'text/event-stream', isEndless: true })
    link.set('live')
    const reader = new EventReader()
    const pieces = (response.body as ReadableStream<Uint8Array<ArrayBuffer>>).pipeThrough(new TextDecoderStream()).getReader()
    for (;;) {
      const { value, done } = await pieces.read()
      if (done) return
      heard()
      reader.read(value).forEach(hear)
    }
  } finally {
    clearTimeout(timer)
    // Also where what it said cannot be read: nobody listens to this one any more.
    silence.abort()
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    const end = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, ms)
    signal.addEventListener('abort', end, { once: true })
  })
}

async function keepListening(signal: AbortSignal): Promise<void> {
  let tries = 0
  while (!signal.aborted) {
    const began = Date.now()
    try {
      await listen(signal)
    } catch (error) {
      if (signal.aborted) return
      const isRefused = error instanceof ApiError && (error.status === 401 || error.status === 403)
      link.set(isRefused ? 'refused' : 'lost')
      if (isRefused) {
        now.set(null)
        past.set([])
        problems.set(null)
        return
      }
    }
    if (signal.aborted) return
    // What came before is no longer now.
    now.set(null)
    if (link.value === 'live') link.set('connecting')
    tries = Date.now() - began > 30_000 ? 0 : tries + 1
    await pause(waitBefore(tries, Math.random()) * 1000, signal)
  }
}

/** Listen while the page is seen; with the new token when it changes. */
export function start(): void {
  let current = new AbortController()
  const again = (isAnother: boolean): void => {
    current.abort()
    current = new AbortController()
    if (document.visibilityState === 'hidden') return
    // Who was refused and only looks elsewhere for a token is still refused: what is half typed stays.
    if (isAnother || link.value !== 'refused') link.set('connecting')
    void keepListening(current.signal)
  }
  document.addEventListener('visibilitychange', () => {
    again(false)
    if (document.visibilityState === 'visible') policyTurn.set(policyTurn.value + 1)
  })
  token.hear(() => again(true))
  again(true)
}
