// Runs before the first paint: the scheme that the reader chose, so that nothing flashes.
//
// Knows: where the choice is kept.  Does not know: anything else.
try {
  const chosen = localStorage.getItem('scheme')
  if (chosen === 'light' || chosen === 'dark') document.documentElement.dataset['scheme'] = chosen
} catch {
  // No storage: the system's scheme.
}
