/** Why a film cannot be shown. */
export class FilmError extends Error {}
