/** Which release this is: shown in `/v1/log`, by `dslog --version`, and to whoever is asked over HTTP. */
export const VERSION = '0.1.0'
