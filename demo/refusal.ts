/** Something that the person at the terminal can mend: printed as a sentence, without a stack. */
export class Refusal extends Error {
  constructor(message: string) {
    super(message);
    this.name = "Refusal";
  }
}
