/** Calls what an app gave us to call. What it throws is the app's to see, as an unhandled rejection, and stops nothing here. */
export function callListener<Arguments extends readonly unknown[]>(
  listener: (...told: Arguments) => void,
  ...told: Arguments
): void {
  try {
    listener(...told);
  } catch (error) {
    void Promise.reject(error);
  }
}
