// What stands in the place of an answer that is not there: it is waited for, it failed, it needs a token;
// and what stands before one that could not be renewed.
//
// Knows: resources.  Does not know: what is in them.
import type { ComponentChildren, VNode } from 'preact'
import { useState } from 'preact/hooks'
import { ApiError } from '../lib/api'
import type { Resource } from '../lib/resource'
import { SignIn } from './actions'
import { useFailure } from './dialog'
import { Moment, Prose, Say, Stranger, useTexts } from './text'

export function Shown<Answer>({ of, children }: { of: Resource<Answer>; children: (answer: Answer) => ComponentChildren }): VNode {
  const say = useTexts()
  const failureOf = useFailure()
  const [isSigningIn, setIsSigningIn] = useState(false)
  if (of.value !== null) {
    return (
      <>
        {of.error ? (
          <p class="notice warn" role="status">
            <Say say="as_of" time={<Moment at={new Date(of.at).toISOString()} />} />
          </p>
        ) : null}
        {children(of.value)}
      </>
    )
  }
  if (!of.error) return <p class="empty" aria-busy="true">{say('loading')}</p>
  const needsToken = of.error instanceof ApiError && of.error.needsToken
  // What this server is not set up for, or not ready for yet, is a state of it and no failure.
  const isState = of.error instanceof ApiError && of.error.status === 409
  const failure = failureOf(of.error)
  return (
    <div class={`notice ${needsToken || isState ? '' : 'bad'}`}>
      <p>{needsToken ? say('needs_token') : <Stranger text={failure.text} max={1000} />}</p>
      {failure.remedy && !needsToken ? (
        <p class="remedy">
              <span>
                <Prose text={failure.remedy} max={1000} />
              </span>
            </p>
      ) : null}
      <p class="more">
        {needsToken ? (
          <button type="button" onClick={() => setIsSigningIn(true)}>
            {say('sign_in')}
          </button>
        ) : (
          <button type="button" onClick={of.again}>
            {say('try_again')}
          </button>
        )}
      </p>
      {isSigningIn ? <SignIn onClose={() => setIsSigningIn(false)} /> : null}
    </div>
  )
}
