package price

import (
	"time"

	"artesian/internal/faas"
)

// FreeTmpMB is the size of /tmp that AWS Lambda includes; only what a function has beyond it is charged.
const FreeTmpMB = faas.MinTmpMB

// Quantity is what was used, in whole numbers, so that sums are exact in any order.
type Quantity struct {
	Requests  int64         // invocations that reached an instance
	MemoryMBs int64         // configured MiB × billed milliseconds
	TmpMBs    int64         // MiB of /tmp beyond FreeTmpMB × billed milliseconds
	CPU       time.Duration // of the sandboxes
	BytesOut  int64         // of responses

	HeldMBs    int64 // configured MiB of provisioned instances × milliseconds that they were there
	HeldRunMBs int64 // as MemoryMBs, of calls on such instances, which are not in MemoryMBs
}

// Billable reports whether an invocation that ended so is charged for: one that was turned away, abandoned, or that the
// platform could not run, is not.
func Billable(o faas.Outcome) bool {
	switch o {
	case faas.OutcomeThrottled, faas.OutcomeCancelled, faas.OutcomeUnavailable:
		return false
	}
	return true
}

// Of returns what one invocation used: nothing when it is not Billable. AWS Lambda bills memory × duration, the duration
// rounded up to 1 ms and, since 1 August 2025, with the INIT phase of every kind of function in it
// (https://aws.amazon.com/blogs/compute/aws-lambda-standardizes-billing-for-init-phase/); u.BilledMS has that rule applied.
func Of(u *faas.Usage) Quantity {
	if !Billable(u.Outcome) {
		return Quantity{}
	}
	q := Quantity{
		Requests:  1,
		MemoryMBs: int64(u.MemoryMB) * u.BilledMS,
		TmpMBs:    int64(max(0, u.TmpMB-FreeTmpMB)) * u.BilledMS,
		CPU:       u.CPU,
		BytesOut:  u.BytesOut,
	}
	if u.Held {
		q.MemoryMBs, q.HeldRunMBs = 0, q.MemoryMBs
	}
	return q
}

// Add returns the sum of q and o.
func (q Quantity) Add(o Quantity) Quantity {
	q.Requests += o.Requests
	q.MemoryMBs += o.MemoryMBs
	q.TmpMBs += o.TmpMBs
	q.CPU += o.CPU
	q.BytesOut += o.BytesOut
	q.HeldMBs += o.HeldMBs
	q.HeldRunMBs += o.HeldRunMBs
	return q
}

// GBSeconds returns the memory-time of calls in GB-s for display. AWS counts 1,024 MB as one GB.
func (q Quantity) GBSeconds() float64 { return float64(q.MemoryMBs+q.HeldRunMBs) / (1024 * 1000) }

// HeldGBSeconds returns the memory-time of provisioned instances in GB-s for display.
func (q Quantity) HeldGBSeconds() float64 { return float64(q.HeldMBs) / (1024 * 1000) }
