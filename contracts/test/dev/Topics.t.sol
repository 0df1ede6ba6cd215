// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IAxelarGateway} from "@axelar-network/axelar-gmp-sdk-solidity/contracts/interfaces/IAxelarGateway.sol";
import {IAxelarGasService} from "@axelar-network/axelar-gmp-sdk-solidity/contracts/interfaces/IAxelarGasService.sol";
import {
    IBaseAmplifierGateway
} from "@axelar-network/axelar-gmp-sdk-solidity/contracts/interfaces/IBaseAmplifierGateway.sol";
import {Test} from "forge-std/Test.sol";
import {DevAxelarGateway} from "../../src/dev/axelar/DevAxelarGateway.sol";
import {DevCcipRouter} from "../../src/dev/ccip/DevCcipRouter.sol";
import {DevCommitStore15} from "../../src/dev/ccip/DevCommitStore15.sol";
import {DevOffRamp15} from "../../src/dev/ccip/DevOffRamp15.sol";
import {DevOffRamp16} from "../../src/dev/ccip/DevOffRamp16.sol";
import {DevOffRamp20} from "../../src/dev/ccip/DevOffRamp20.sol";
import {DevOnRamp15} from "../../src/dev/ccip/DevOnRamp15.sol";
import {DevOnRamp16} from "../../src/dev/ccip/DevOnRamp16.sol";
import {DevOnRamp20} from "../../src/dev/ccip/DevOnRamp20.sol";

/// @notice The topics that the bridges' real contracts have on public chains.
contract TopicsTest is Test {
    function test_axelar() public pure {
        is_(IAxelarGateway.ContractCall.selector, 0x30ae6cc78c27e651745bf2ad08a11de83910ac1e347a52f7ac898c0fbef94dae);
        is_(
            DevAxelarGateway.ContractCallApproved.selector,
            0x44e4f8f6bd682c5a3aeba93601ab07cb4d1f21b2aab1ae4880d9577919309aa4
        );
        is_(
            DevAxelarGateway.ContractCallExecuted.selector,
            0x91057b069763121972ce22b18b2f319b1520dd4c72f1f94a6395e81ceaf63f41
        );
        is_(DevAxelarGateway.Executed.selector, 0xa74c8847d513feba22a0f0cb38d53081abf97562cdb293926ba243689e7c41ca);
        is_(
            IBaseAmplifierGateway.MessageApproved.selector,
            0xcda53a2698efcca41b57faaddeb19bcb237bb1c71b479721fcc3a6fd41ba8097
        );
        is_(
            IBaseAmplifierGateway.MessageExecuted.selector,
            0xe7d1e1f435233f7a187624ac11afaf32ee0da368cef8a5625be394412f619254
        );
    }

    function test_axelars_gas_service() public pure {
        is_(
            IAxelarGasService.NativeGasPaidForContractCall.selector,
            0x617332c1832058df6ee45fcbdf471251474c9945a8e5d229287a21a5f67ccf0a
        );
        is_(
            IAxelarGasService.NativeGasAdded.selector,
            0xfeb6b00343feee0f29a1a4345f8bf93ca1c73ee922248a4237a4e50d6447604e
        );
        is_(IAxelarGasService.Refunded.selector, 0xd5df103822011013c8c940930e5180419111c65abadd6525ca7e740d56b4703f);
    }

    function test_ccip_1_5() public pure {
        is_(DevCommitStore15.RootRemoved.selector, 0x202f1139a3e334b6056064c0e9b19fd07e44a88d8f6e5ded571b24cf8c371f12);
        is_(DevOnRamp15.CCIPSendRequested.selector, 0xd0c3c799bf9e2639de44391e7f524d229b2b55f5b1ea94b2bf7da42f7243dddd);
        is_(
            DevCommitStore15.ReportAccepted.selector, 0x291698c01aa71f912280535d88a00d2c59fb63530a3f5d0098560468acb9ebf5
        );
        is_(
            DevOffRamp15.ExecutionStateChanged.selector,
            0xd4f851956a5d67c3997d1c9205045fef79bae2947fdee7e9e2641abc7391ef65
        );
        is_(
            DevOffRamp15.SkippedAlreadyExecutedMessage.selector,
            0xe3dd0bec917c965a133ddb2c84874725ee1e2fd8d763c19efa36d6a11cd82b1f
        );
        is_(DevOffRamp15.AlreadyAttempted.selector, 0x67d9ba0f63d427c482c2736300e6d5a34c6691dbcdea8ad35828a1f1ba47e872);
    }

    function test_ccip_1_6() public pure {
        is_(DevOffRamp16.RootRemoved.selector, 0x202f1139a3e334b6056064c0e9b19fd07e44a88d8f6e5ded571b24cf8c371f12);
        is_(DevOnRamp16.CCIPMessageSent.selector, 0x192442a2b2adb6a7948f097023cb6b57d29d3a7a5dd33e6666d33c39cc456f32);
        is_(
            DevOffRamp16.CommitReportAccepted.selector,
            0xb967c9b9e1b7af9a61ca71ff00e9f5b89ec6f2e268de8dacf12f0de8e51f3e47
        );
        is_(
            DevOffRamp16.ExecutionStateChanged.selector,
            0x05665fe9ad095383d018353f4cbcba77e84db27dd215081bbf7cdf9ae6fbe48b
        );
        is_(
            DevOffRamp16.SkippedAlreadyExecutedMessage.selector,
            0x3b575419319662b2a6f5e2467d84521517a3382b908eb3d557bb3fdb0c50e23c
        );
        is_(DevOffRamp16.AlreadyAttempted.selector, 0x3ef2a99c550a751d4b0b261268f05a803dfb049ab43616a1ffb388f61fe65120);
    }

    function test_ccip_2_0_and_the_router() public pure {
        is_(DevOnRamp20.CCIPMessageSent.selector, 0x371bc2ff0a006f4ef863b1d27a065d4e9f938b6d883eb154572b4aea593b32cc);
        is_(
            DevOffRamp20.ExecutionStateChanged.selector,
            0x8c324ce1367b83031769f6a813e3bb4c117aba2185789d66b98b791405be6df2
        );
        is_(DevCcipRouter.MessageExecuted.selector, 0x9b877de93ea9895756e337442c657f95a34fc68e7eb988bdfa693d5be83016b6);
    }

    /// By the vendor's own ABIs: who executes by hand calls these.
    function test_selectors_of_manual_execution() public pure {
        is_(DevOffRamp15.manuallyExecute.selector, bytes4(0xb1fc6515));
        is_(DevOffRamp16.manuallyExecute.selector, bytes4(0x5e7bb008));
        is_(DevOffRamp20.execute.selector, bytes4(0x3b81ab9b));
    }

    function is_(bytes32 ours, bytes32 theirs) private pure {
        assertEq(ours, theirs);
    }
}
