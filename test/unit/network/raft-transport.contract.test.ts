import { transportContract } from "../../contracts/transport.ts";
import { Libp2pCluster } from "./libp2p-cluster.ts";

transportContract("libp2p", () => Libp2pCluster.create(2));
