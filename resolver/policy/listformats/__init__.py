"""List files from elsewhere, format by format: octets -> names and what is said of each.

Knows: the spellings.  Does not know: lists' properties, the image, files on disk.
One module a format; `reading` is what they share, `content` what is judged before any line is read,
`detection` finds the format out.
"""
