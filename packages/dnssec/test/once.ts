/** For tests that ask for the same signatures over and over, in what they change nothing of. */
import type { SignatureBackend } from '../src/backend/backend.ts'

/** No byte is read as this: no two questions are written alike. */
const BETWEEN = '\u{100}'
/** Each byte as a character of its own. */
const BYTES = new TextDecoder('latin1')

/** A backend that computes each signature once: the same key, data and signature get the same answer. */
export function computingOnce(backend: SignatureBackend): SignatureBackend {
  const answers = new Map<string, Promise<boolean>>()
  return {
    digest: (type, data) => backend.digest(type, data),
    verify(algorithm, publicKey, data, signature) {
      const parts = [publicKey, data, signature].map((bytes) => BYTES.decode(bytes))
      const question = [algorithm, ...parts].join(BETWEEN)
      const answer = answers.get(question) ?? backend.verify(algorithm, publicKey, data, signature)
      answers.set(question, answer)
      return answer
    },
  }
}
