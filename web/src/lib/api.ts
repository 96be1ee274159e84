// Asks the resolver's API.
//
// Knows: HTTP, the token, how failures are told (RFC 9457).  Does not know: what is asked for, who shows it.
import { Store } from './store'

/** What went wrong, in the server's words. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly title: string,
    readonly detail: string,
    readonly remedy: string,
    readonly more: Record<string, unknown> = {},
  ) {
    super(detail || title)
  }

  /** Whether a token would help. */
  get needsToken(): boolean {
    return this.status === 401
  }
}

const KEPT_AS = 'token'
const BASE = new URL('api/v1/', document.baseURI)
/** What is read in a process of its own takes seconds on a busy machine. */
const PATIENCE_MS = 60_000

/** The token that the reader pasted; empty: none.  Kept by this tab alone, and sent to nobody but this server. */
export const token = new Store(kept())

function kept(): string {
  try {
    return sessionStorage.getItem(KEPT_AS) ?? ''
  } catch {
    return ''
  }
}

/** The token that the server refused last; empty: none since one was pasted. */
export const refusedToken = new Store('')

export function keepToken(text: string): void {
  try {
    if (text) sessionStorage.setItem(KEPT_AS, text)
    else sessionStorage.removeItem(KEPT_AS)
  } catch {
    // No storage: kept until the page is left.
  }
  refusedToken.set('')
  token.set(text)
}

/** What a token can have: RFC 6750 §2.1. */
export function isToken(text: string): boolean {
  return /^[A-Za-z0-9._~+/-]+=*$/.test(text) && text.length <= 4096
}

export type Query = Record<string, string | number | boolean | null | undefined>

export function addressOf(path: string, query: Query = {}): URL {
  const address = new URL(path, BASE)
  for (const [key, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== '') address.searchParams.set(key, String(value))
  }
  return address
}

function headers(secret: string, more: Record<string, string>): Headers {
  const all = new Headers({ accept: 'application/json', ...more })
  if (secret) all.set('authorization', `Bearer ${secret}`)
  return all
}

/** The response, whatever its form.  Raises ApiError; AbortError when `signal` says so. */
export async function ask(
  method: string,
  address: URL,
  { body, signal, accept, isEndless = false, secret = token.value }: Asking = {},
): Promise<Response> {
  const patience = isEndless ? [] : [AbortSignal.timeout(PATIENCE_MS)]
  let response: Response
  try {
    response = await fetch(address, {
      method,
      headers: headers(secret, {
        ...(accept ? { accept } : {}),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      }),
      body: body === undefined ? null : JSON.stringify(body),
      signal: AbortSignal.any([...(signal ? [signal] : []), ...patience]),
      credentials: 'omit',
      cache: 'no-store',
      redirect: 'error',
      referrerPolicy: 'no-referrer',
    })
  } catch (error) {
    if (signal?.aborted) throw error
    throw new ApiError(0, '', '', '')
  }
  if (response.status === 401 && secret && secret === token.value) refusedToken.set(secret)
  if (!response.ok) throw await failureOf(response)
  return response
}

export interface Asking {
  body?: unknown
  signal?: AbortSignal
  accept?: string
  isEndless?: boolean
  /** Another token than the one that is kept. */
  secret?: string
}

export async function get<Answer>(path: string, query: Query = {}, signal?: AbortSignal): Promise<Answer> {
  const response = await ask('GET', addressOf(path, query), signal ? { signal } : {})
  return (await response.json()) as Answer
}

/** A change.  Its answer, and the status: 202 says that it waits for somebody's approval. */
export async function post<Answer>(path: string, body: unknown = {}): Promise<{ status: number; answer: Answer }> {
  const response = await ask('POST', addressOf(path), { body })
  const text = await response.text()
  return { status: response.status, answer: (text ? JSON.parse(text) : {}) as Answer }
}

async function failureOf(response: Response): Promise<ApiError> {
  let told: Record<string, unknown> = {}
  try {
    told = (await response.json()) as Record<string, unknown>
  } catch {
    // Not in JSON: the status says all there is.
  }
  const text = (key: string): string => (typeof told[key] === 'string' ? (told[key] as string) : '')
  return new ApiError(response.status, text('title'), text('detail') || text('error'), text('remedy'), told)
}
