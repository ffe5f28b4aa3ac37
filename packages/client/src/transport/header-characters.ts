/** What no header may have (RFC 9110, section 5): with it, a value could begin a header of its own. */

export const UNSAFE_NAME = /^$|[^!#$%&'*+.^_`|~\w-]/
export const UNSAFE_VALUE = /[^\t\x20-\x7e\x80-\xff]/
