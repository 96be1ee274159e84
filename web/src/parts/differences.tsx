// What a change does, in the server's words: its difference, what the check remarked, which files it is for.
//
// Knows: the lines of a difference.  Does not know: how one is found, who decides.
import type { VNode } from 'preact'
import { Name, Prose, Stranger, useTexts } from './text'

/** A difference in words, line for line: what is indented belongs to what stands above. */
export function Differences({ lines }: { lines: readonly string[] }): VNode {
  return (
    <ul class="changes differences">
      {lines
        .filter(line => line.trim())
        .map((line, index) => {
          const sign = /^\s*([+-]) /.exec(line)?.[1]
          const kind = sign === '+' ? 'gained' : sign === '-' ? 'lost' : ''
          return (
            <li key={index} class={`${kind} ${/^\s/.test(line) ? 'inner' : ''}`}>
              <Prose text={line.trim()} max={600} />
            </li>
          )
        })}
    </ul>
  )
}

/** So many remarks are shown at most; each may be long. */
const REMARKS_MAX = 100

/** What the check of a change remarked: whoever decides on it has to know. */
export function Remarks({ remarks }: { remarks: readonly string[] | undefined }): VNode | null {
  const say = useTexts()
  if (!remarks?.length) return null
  return (
    <div class="notice warn remarks">
      <strong>{say('remarks_of_check')}</strong>
      <ul>
        {remarks.slice(0, REMARKS_MAX).map((remark, index) => (
          <li key={index}>
            <Prose text={remark} max={600} />
          </li>
        ))}
      </ul>
      {remarks.length > REMARKS_MAX ? <p>{say('and_more', { count: remarks.length - REMARKS_MAX })}</p> : null}
    </div>
  )
}

/** The files that an approval is for, octet for octet. */
export function ApprovalFiles({ files }: { files: Record<string, string> | undefined }): VNode | null {
  const say = useTexts()
  const all = Object.entries(files ?? {})
  if (!all.length) return null
  return (
    <details class="more">
      <summary>{say('approval_files')}</summary>
      <ul class="changes files">
        {all.map(([path, sha256]) => (
          <li key={path}>
            <Name text={path} max={200} />
            <span class="second">
              sha256 <Stranger text={sha256 || '–'} max={64} />
            </span>
          </li>
        ))}
      </ul>
    </details>
  )
}
