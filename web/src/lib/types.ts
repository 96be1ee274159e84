// What the API answers, as far as the dashboard shows it (resolver/api has the description).
//
// Knows: names and units.  Does not know: how it is asked for.

export interface Latency {
  p50_s: number | null
  p99_s: number | null
}

/** Once a second. */
export interface Now {
  at: string
  queries_per_s: number
  blocked_per_s: number
  /** 0 to 1; null: nothing was looked for. */
  cache_hit_share: number | null
  latency: Record<string, Latency>
}

export interface Problem {
  id: string
  subject: string | null
  level: 'error' | 'warning'
  title: string
  detail: string
  since: string
  remedy: string
  link: string
}

export type Role = 'read' | 'edit' | 'approve'

/** Of `whoami`. */
export interface Who {
  /** Of the token; null: somebody on the server's machine, without one. */
  name: string | null
  role: Role
  has_token: boolean
  may_read_records: boolean
  may_edit: boolean
  may_approve: boolean
  changes: 'direct' | 'two-person'
}

/** What `explain` says of a name; the same as `exchange-resolver explain --json`. */
export interface Explanation {
  asked: string
  name: string
  unicode: string | null
  type: string
  at: string
  blocklist: string
  client: { address: string; allowed: boolean }
  decision: {
    blocked: boolean
    action: string | null
    rule: string | null
    file: string | null
    line: number | null
    kind: string | null
    label: string | null
    name: string | null
    confidential: boolean
    orders: Record<string, CitedOrder>
    from: string | null
    until: string | null
    reason: string | null
    ticket: string | null
    shadow: string | null
  }
  records: { list: string; id: string; written: string; reason: string; line: number }[]
  trace: TracedRule[]
  client_sees: {
    source: string
    upstreams: string[]
    reply: Reply | null
  }
}

export interface CitedOrder {
  id: string
  authority: string
  title: string
  reference: string | null
  date: string | null
  url: string | null
  in_force: boolean
}

export interface TracedRule {
  fate: string
  why: string
  effect: string
  tier: string
  rule: string
  file: string | null
  line: number | null
  label: string | null
  name: string | null
  action: string
  mode: string
  from: string | null
  until: string | null
}

export interface Reply {
  rcode: string
  answers: { name: string; ttl_s: number; type: string; rdata: string }[]
  ede: { code: number; text: string }[]
  ttl_s?: number | null
}

export interface Status {
  version: string
  engine: string
  at: string
  started_at: string
  ready: boolean
  reasons: Record<string, string>
  remarks: Record<string, string>
  /** Null: filtering is not paused; `remarks.filtering` says who paused it, and why. */
  paused_until: string | null
  listening: { dns: string[]; tls: string[]; https: string[]; http: string | null }
  policy: {
    generation: number
    history: number
    loaded_at: string | null
    is_stale: boolean
    edit_waits: boolean
    is_empty: boolean
    exchanges: Record<string, number>
    domains: Record<string, number>
    confidential_exchanges: number
  }
  queries: number
  blocked: number
  cache: { entries: number; octets: number; hits: number; misses: number; evictions: number }
  waiting: number
  connections: Record<string, number>
  changes: 'direct' | 'two-person'
  has_tokens: boolean
}

/** What was asked, step by step; the last step goes on. */
export interface Series {
  range: string
  step_s: number
  items: SeriesStep[]
}

export interface SeriesStep {
  at: string
  /** Seconds of it in which a server counted. */
  covered_s: number
  queries: number
  blocked: number
  cache_hits: number
  answers: number
  latency: Record<string, Latency>
}

/** How an exchange, an order, a list or a name of them stands. */
export type State = 'in_force' | 'partly' | 'excepted' | 'pending' | 'ended' | 'shadow' | 'disabled'

/** Hits of the last 30 days; days without any are left out. */
export interface HitsOfMonth {
  blocked: number
  shadow: number
  days: { day: string; blocked: number; shadow: number }[]
}

/** Status -> names, as last proved. */
export type Proved = Record<string, number>

export interface Order {
  id: string
  authority: string
  title: string
  reference: string | null
  date: string | null
  url: string | null
  imposed_by: string
  state: State
  mode: string
  measure: string | null
  from: string | null
  until: string | null
  received: string | null
  due: string | null
  first_served: string | null
  in_force_since: string | null
  /** From its receipt until it was in force. */
  took_s: number | null
  /** How long before its deadline it was in force; negative: late. */
  ahead_s: number | null
  blocks_now: boolean
  exchanges: string[]
  lists: string[]
  names_blocked: number
  asks: { total: number; enforced: number; pending: number; not_enforced: number }
  hits: HitsOfMonth | null
}

export interface OrderWhole extends Order {
  not_enforced: NotEnforced[]
}

export interface NotEnforced {
  ask: string
  reason: string
  why: string | null
  exchange: string | null
}

export interface Exchange {
  id: string
  name: string
  aliases: string[]
  category: string | null
  orders: string[]
  state: State
  action: string
  ttl_s: number
  from: string | null
  until: string | null
  in_policy_since: string | null
  in_force_since: string | null
  name_count: number
  hits: HitsOfMonth | null
  audit: Proved | null
}

export interface ExchangeWhole extends Exchange {
  names: ExchangeName[]
}

export interface ExchangeName {
  name: string
  unicode: string | null
  form: 'subtree' | 'exact' | 'below' | 'network'
  state: State
  file: string
  line: number
}

export interface ExchangePage {
  items: Exchange[]
  next: string | null
  confidential: number
  audited_at: string | null
}

/** Hits, step by step, without steps in which no server counted. */
export interface HitsOverTime {
  range: string
  step_s: number
  items: { at: string; blocked: number; shadow: number; covered_s: number }[]
}

export interface ListLine {
  name: string
  source: string
  format: string
  kind: 'block' | 'allow' | 'check'
  orders: string[]
  state: State
  action: string | null
  from: string | null
  until: string | null
  file: string
  line: number
  names: number | null
  records: number | null
  entries_enforced: number | null
  entries_not_enforced: Record<string, number>
  hits: HitsOfMonth | null
  audit: Proved | null
  download: Download | null
}

export interface Download {
  last_success: string | null
  refresh_s: number
  results: Record<string, number>
  serial: number | null
  authority_serial: number | null
  lag_s: number | null
}

export interface Upstream {
  name: string
  up: boolean
  is_encrypted: boolean
  queries: number
  failures: Record<string, number>
  p50_s: number | null
  p99_s: number | null
  connections: number
  certificate_until: string | null
}

export interface Certificate {
  use: string
  file: string
  names: string[]
  valid_from: string
  valid_until: string
  remark: string | null
}

export interface AuditRuns {
  items: AuditRun[]
  next: null
  /** Between two whole ones; 0: there are none. */
  every_h: number
}

export interface AuditRun {
  ended_at: string
  cause: string
  result: 'clean' | 'findings' | 'failed'
  questions: number
  counts: Proved | null
  reason: string | null
}

/** What the last audit of everything proved. */
export interface Audit {
  started_at: string
  ended_at: string
  clean: boolean
  counts: Proved
  finding_count: number
  findings: Finding[]
  lists_behind: { list: string; detail: string }[]
}

export interface Finding {
  name: string
  form: string
  kind: string
  source: string
  orders: string[]
  status: string
  detail: string
  question: string | null
  listener: string | null
  file: string
  line: number
}

/** One policy that was put in force; words are in the language that was asked for. */
export interface Generation {
  generation: number
  at: string
  who: string | null
  cause: 'edit' | 'date' | 'pause' | 'rollback'
  forced: boolean
  reason: string | null
  known: boolean
  summary: string
  changes: { what: string; title: string; names: string[]; count: number }[]
  sha256: string
  has_text: boolean
}

/** A change that waits for a second person, or waited for one. */
export interface Proposal {
  id: string
  kind: string
  who: string
  at: string
  expires_at: string | null
  reason: string
  state: string
  /** Whether the blocklist has changed since, so that it cannot be approved any more. */
  base_changed: boolean
  forced: boolean
  about: string
  headline: string
  /** Lines: the difference in words. */
  words: string
  /** Path and SHA-256 of each file that an approval is for. */
  files: Record<string, string>
  /** What the check of it remarked. */
  warnings: string[]
  decided_by: string
  decided_at: string | null
  decided_reason: string
}

/** A name that is let through. */
export interface Exception {
  /** As the blocklist has it: `=x.example` is this name alone. */
  name: string
  unicode: string | null
  state: 'in_force' | 'pending' | 'ended'
  from: string | null
  until: string | null
  reason: string | null
  ticket: string | null
  file: string
  line: number
}

/** One change of the blocklist. */
export interface Edit {
  do: string
  id: string
  keys?: Record<string, string | null>
  domains?: string[]
}

/** What became of a change. */
export interface Made {
  state?: string
  proposal?: string | null
  headline?: string
  words?: string
  warnings?: string[]
}

export interface Suggestion {
  name: string
  exchange: string
  exchange_name: string
  score: number
  reasons: string[]
  official: boolean
  state: 'open' | 'weak' | 'dismissed'
  queries: number
  first: string
  last: string
}

export interface SuggestionPage {
  items: Suggestion[]
  next: null
  enabled: boolean
  more: number
  confidential: number
  remark: string | null
}

/** What an editor has to know before. */
export interface EditStanding {
  base: string
  changes: 'direct' | 'two-person'
  writable: boolean
  why: string | null
  remedy: string | null
}

/** One query that ended; what stands in it is the operator's choice (`exchange-resolver schema records`). */
export interface QueryRecord {
  time: string
  client?: string
  client_name?: string
  transport?: string
  qname?: string
  qtype?: string
  malformed?: string
  rcode?: string
  source?: string
  dropped?: string
  exchange?: string
  list?: string
  rule?: string
  shadow_exchange?: string
  shadow_list?: string
}
