#!/usr/bin/env node
/// <reference types="node" />
// Committed JavaScript: npm links a bin only if its file is there before anything is built.
import { existsSync } from 'node:fs'

const main = new URL('../dist/main.js', import.meta.url)
if (!existsSync(main)) {
  console.error('dslog has not been built yet: run `npm run build` first')
  process.exit(2)
}
await import(main.href)
