"""Registers of authorities: their octets become records, and records become what policy can do with them.

Knows: the formats of registers, what a record asks for, why some of it is not DNS's business.  Does not
know: files, the image, the time, whether a list is in force.
"""
