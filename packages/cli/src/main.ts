/** The process `dslog`; everything else is in program.ts. */
import { installNodeCrypto } from '@dslog/service/crypto'
import { EXIT } from './failure.ts'
import { run } from './program.ts'

installNodeCrypto()

// Whoever reads our output may have seen enough of it: `dslog history fi. | head`.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  process.exit(EXIT.service)
})

const { env, stderr, stdin, stdout } = process
process.exitCode = await run(process.argv.slice(2), { env, stdin, stdout, stderr })
