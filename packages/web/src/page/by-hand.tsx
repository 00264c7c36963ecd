/** How to verify without this page: with the command line, and with nothing of ours at all. */
import { useSession } from '../session.ts'

export function ByHandPage() {
  const { log } = useSession()
  return (
    <article>
      <h1>Verify by hand</h1>
      <p>
        Whoever serves this page could serve you one that lies. So nothing needs it: the same bytes
        can be checked with other programs, on another machine.
      </p>
      <h2>With dslog</h2>
      <p>
        Keep the proof of a name, and verify it where the page's host has no say. The policy has to
        come from somewhere else than the log.
      </p>
      <pre tabIndex={0} aria-label="Commands">{`dslog verify example.org.tlog-proof --policy policy
dslog history example.org. --log ${log} --policy policy
dslog audit --log ${log} --policy policy --state audit`}</pre>
      <h2>With curl, openssl and sha256sum</h2>
      <p>
        The signature of the log over its newest tree. The key is the part of its vkey behind the
        last +.
      </p>
      <pre tabIndex={0} aria-label="Commands">{`curl -sS ${log}/checkpoint > checkpoint
sed '/^$/,$d' checkpoint > text                        # what is signed
grep '^— ' checkpoint | head -1 | cut -d' ' -f3 | base64 -d | tail -c 64 > sig
printf '302a300506032b6570032100' | xxd -r -p > key.der # Ed25519, RFC 8410
base64 -d <<< "$KEY" | tail -c 32 >> key.der
openssl pkeyutl -verify -rawin -pubin -keyform DER -inkey key.der \\
  -in text -sigfile sig`}</pre>
      <p>That an entry is in that tree, hash by hash:</p>
      <pre
        tabIndex={0}
        aria-label="Commands"
      >{`curl -sS ${log}/v1/entries/1 | jq -r .raw | base64 -d > leaf
{ printf '\\0'; cat leaf; } | sha256sum                # RFC 6962: the leaf's hash
curl -sS "${log}/v1/proofs/inclusion?index=1"          # the hashes beside its way up`}</pre>
      <p>
        The whole way, with the arithmetic of the tree, the name map and a DNSSEC signature, is in{' '}
        <code>docs/verify-by-hand.md</code> of the source, where a test runs it.
      </p>
      <h2>What the formats are</h2>
      <ul>
        <li>
          <a href="https://c2sp.org/tlog-checkpoint">Checkpoints</a>,{' '}
          <a href="https://c2sp.org/tlog-tiles">tiles</a>,{' '}
          <a href="https://c2sp.org/tlog-proof">proof files</a> and{' '}
          <a href="https://c2sp.org/tlog-policy">policies</a> of C2SP
        </li>
        <li>
          <a href="https://www.rfc-editor.org/rfc/rfc6962#section-2.1">Merkle trees</a> of RFC 6962
        </li>
        <li>
          <a href="https://www.rfc-editor.org/rfc/rfc4034">DNSSEC records</a> of RFC 4034
        </li>
      </ul>
    </article>
  )
}
