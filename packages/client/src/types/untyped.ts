/**
 * What a payload is to a program that does not say: anything, so that programs written for client 0.15 compile as they are.
 * `queue<Order>('orders')` types everything behind it.
 */
// biome-ignore lint/suspicious/noExplicitAny: this is the one place that decides to be untyped
export type Untyped = any
