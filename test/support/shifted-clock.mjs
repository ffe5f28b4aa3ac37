// Preloaded into a broker: its wall clock is SHIFT_AHEAD_MS ahead while the file SHIFT_WHILE is there.
import { existsSync } from 'node:fs'

const wall = Date.now
const aheadMs = Number(process.env.SHIFT_AHEAD_MS)
const file = process.env.SHIFT_WHILE
Date.now = () => wall() + (existsSync(file) ? aheadMs : 0)
