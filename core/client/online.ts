/**
 * What a client runs only once there is a connection to its site. Where code comes over a network, it is loaded beside the
 * first document, which opens, is edited and is stored without it.
 */
export { ChildLink } from "../sync/child-link.ts";
export { followEpoch } from "./another-epoch.ts";
export { followSite } from "./another-site.ts";
export { carryDocuments, followCarried, offerDocuments } from "./document-offer.ts";
export { fetchDocument } from "./fetched.ts";
export { ranAtHome } from "./home-outcome.ts";
export { Lease } from "./lease.ts";
export { linkOwner } from "./link-owner.ts";
export { sendOutbox } from "./outbox-stream.ts";
export { sortOutcomes } from "./outcomes.ts";
export { renewOutbox } from "./renewal.ts";
export { isAt, recipeOf, replayed } from "./replay.ts";
export { Taken } from "./taken.ts";
export { snapshotAfter, takenOfPiece } from "./taken-snapshot.ts";
