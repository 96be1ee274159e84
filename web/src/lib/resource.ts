// Something asked of the API, asked again when it may have changed.
//
// Knows: the API, policy turns, the token.  Does not know: what is asked for.
import { useEffect, useState } from 'preact/hooks'
import { ApiError, type Query, get, token } from './api'
import { policyTurn } from './live'
import { useStore } from './store'

export interface Resource<Answer> {
  value: Answer | null
  error: unknown
  isLoading: boolean
  again: () => void
}

export interface Wishes {
  /** Ask again after so many seconds. */
  every_s?: number
  /** Do not ask. */
  isOff?: boolean
  /** Ask again when this changes. */
  on?: string
}

/** The answer; while a new one is asked for the old one stays, unless another thing is asked for. */
export function useResource<Answer>(path: string, query: Query = {}, wishes: Wishes = {}): Resource<Answer> {
  return useAsked(path, query, wishes, signal => get<Answer>(path, query, signal))
}

const AGAIN_MS = 5_000

function useAsked<Answer>(
  path: string,
  query: Query,
  wishes: Wishes,
  fetch: (signal: AbortSignal) => Promise<Answer>,
): Resource<Answer> {
  const turn = useStore(policyTurn)
  const secret = useStore(token)
  const [times, setTimes] = useState(0)
  const asked = `${path}?${JSON.stringify(query)}`
  const [state, setState] = useState<{ asked: string; value: Answer | null; error: unknown; isLoading: boolean }>({
    asked,
    value: null,
    error: null,
    isLoading: true,
  })
  useEffect(() => {
    if (wishes.isOff) {
      setState({ asked, value: null, error: null, isLoading: false })
      return undefined
    }
    const stop = new AbortController()
    let later: ReturnType<typeof setTimeout> | undefined
    setState(before => ({ asked, value: before.asked === asked ? before.value : null, error: null, isLoading: true }))
    fetch(stop.signal).then(
      value => setState({ asked, value, error: null, isLoading: false }),
      (error: unknown) => {
        if (!stop.signal.aborted) {
          setState(before => ({ asked, value: before.asked === asked ? before.value : null, error, isLoading: false }))
          // Nobody answered: it heals by itself.
          if (error instanceof ApiError && error.status === 0) later = setTimeout(() => setTimes(count => count + 1), AGAIN_MS)
        }
      },
    )
    return () => {
      stop.abort()
      clearTimeout(later)
    }
  }, [asked, turn, secret, times, wishes.isOff, wishes.on])
  useEffect(() => {
    if (!wishes.every_s) return undefined
    const timer = setInterval(() => {
      if (document.visibilityState === 'visible') setTimes(count => count + 1)
    }, wishes.every_s * 1000)
    return () => clearInterval(timer)
  }, [wishes.every_s])
  return { ...state, again: () => setTimes(count => count + 1) }
}

export interface Items<Item> {
  items: Item[]
  next?: string | number | null
}

/** So many items are shown at most. */
const ITEMS_MAX = 5_000

/** All pages of a list, one after another. */
export function useAll<Item>(path: string, query: Query = {}): Resource<Items<Item>> {
  return useAsked(path, query, {}, async signal => {
    const items: Item[] = []
    let after: string | number | null | undefined
    do {
      const page = await get<Items<Item>>(path, { ...query, limit: PAGE, after }, signal)
      items.push(...page.items)
      after = page.next
    } while (after !== null && after !== undefined && items.length < ITEMS_MAX)
    return { items, next: after ?? null }
  })
}

/** The most items that the API gives at once. */
const PAGE = 1_000
