// Something asked of the API, asked again when it may have changed.
//
// Knows: the API, policy turns, the token.  Does not know: what is asked for.
// Theory: an answer belongs to the token that it was given to; with another one, or none, it is shown no more.
import { useEffect, useRef, useState } from 'preact/hooks'
import { ApiError, type Query, get, token } from './api'
import { policyTurn } from './live'
import { useStore } from './store'

export interface Resource<Answer> {
  value: Answer | null
  /** When the value was given, in Unix milliseconds. */
  at: number
  /** With a value: it could not be renewed. */
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

/** For what changes seldom: the policy's turn tells of most changes, and not of dates that pass or hits that grow. */
export const SELDOM_S = 300

/** The answer; while a new one is asked for the old one stays, unless another thing is asked for. */
export function useResource<Answer>(path: string, query: Query = {}, wishes: Wishes = {}): Resource<Answer> {
  return useAsked(path, query, wishes, signal => get<Answer>(path, query, signal))
}

const AGAIN_MS = 5_000

function isStatus(error: unknown, ...statuses: number[]): boolean {
  return error instanceof ApiError && statuses.includes(error.status)
}

interface State<Answer> extends Omit<Resource<Answer>, 'again'> {
  asked: string
}

function loading<Answer>(asked: string): State<Answer> {
  return { asked, value: null, at: 0, error: null, isLoading: true }
}

function useAsked<Answer>(
  path: string,
  query: Query,
  wishes: Wishes,
  fetch: (signal: AbortSignal) => Promise<Answer>,
): Resource<Answer> {
  const turn = useStore(policyTurn)
  const secret = useStore(token)
  const [times, setTimes] = useState(0)
  const asked = JSON.stringify([path, query, secret])
  const [state, setState] = useState(loading<Answer>(asked))
  /** A token is needed, or another one: to ask again by and by would only be to guess. */
  const isRefused = useRef(false)
  useEffect(() => {
    isRefused.current = false
    if (wishes.isOff) {
      setState({ ...loading<Answer>(asked), isLoading: false })
      return undefined
    }
    const stop = new AbortController()
    let later: ReturnType<typeof setTimeout> | undefined
    setState(before => (before.asked === asked && before.value !== null ? { ...before, isLoading: true } : loading(asked)))
    fetch(stop.signal).then(
      value => {
        if (!stop.signal.aborted) setState({ asked, value, at: Date.now(), error: null, isLoading: false })
      },
      (error: unknown) => {
        if (stop.signal.aborted) return
        isRefused.current = isStatus(error, 401)
        const mayKeep = !isStatus(error, 401, 403)
        setState(before => ({ ...(mayKeep && before.asked === asked ? before : loading<Answer>(asked)), error, isLoading: false }))
        // Nobody answered: it heals by itself.
        if (isStatus(error, 0)) later = setTimeout(() => setTimes(count => count + 1), AGAIN_MS)
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
      if (document.visibilityState === 'visible' && !isRefused.current) setTimes(count => count + 1)
    }, wishes.every_s * 1000)
    return () => clearInterval(timer)
  }, [wishes.every_s])
  return { ...(state.asked === asked ? state : loading<Answer>(asked)), again: () => setTimes(count => count + 1) }
}

export interface Items<Item> {
  items: Item[]
  next?: string | number | null
}

/** So many items are shown at most. */
const ITEMS_MAX = 5_000

/** All pages of a list, one after another. */
export function useAll<Item>(path: string, query: Query = {}, wishes: Wishes = {}): Resource<Items<Item>> {
  return useAsked(path, query, wishes, async signal => {
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
