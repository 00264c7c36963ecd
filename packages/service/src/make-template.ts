/** Program: makes the template anew. A step of the build. */
import { rm } from 'node:fs/promises'
import { makeTemplate, templatePath } from './template.ts'

await rm(templatePath(), { force: true })
await makeTemplate()
