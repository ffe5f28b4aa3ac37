// Preloaded into a broker: its wall clock is SHIFT_AHEAD_MS ahead, after SHIFT_FOR_MS right again.
const wall = Date.now
const aheadMs = Number(process.env.SHIFT_AHEAD_MS ?? 0)
const forMs = Number(process.env.SHIFT_FOR_MS ?? Number.POSITIVE_INFINITY)
Date.now = () => wall() + (performance.now() < forMs ? aheadMs : 0)
