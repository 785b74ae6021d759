/// Why a credential was refused: for the audit, never for the client, who is told that it was.
public enum AuthenticationFailure: String, Error, Sendable, CaseIterable {
  /// Nothing was presented.
  case missing
  /// The field is no `Bearer` credential, or stands more than once.
  case malformedField = "malformed_field"
  /// Longer than any credential that is taken.
  case oversize
  /// No provider takes credentials of this form.
  case noProvider = "no_provider"
  case unknownToken = "unknown_token"
  /// It was right once.
  case expired
  case notYetValid = "not_yet_valid"
  /// Not three parts of canonical base64url with JSON objects in them.
  case malformedToken = "malformed_token"
  /// A member of the header that isn't taken, such as `crit` or `jwk`.
  case header
  case algorithm
  /// No key of the file, or not exactly one, fits.
  case unknownKey = "unknown_key"
  case signature
  /// A claim of the wrong type, or one that is missing.
  case claims
  case issuer
  case audience
  /// The claim or name that tells the agent is missing, or is no agent's id.
  case agent
  case roles
  /// The TLS handshake failed of it: missing where one is demanded, of a foreign authority, ended, or without its key.
  case certificate
  case malformedCertificate = "malformed_certificate"
  /// The certificate has no name of the kind that is asked for, or several.
  case certificateName = "certificate_name"
  /// An authority that it was verified by, or beside it, was taken away since.
  case authority
  case ticket
  /// Its address has failed so often that it wasn't looked at.
  case tooOften = "too_often"
}
