package meter

import (
	"encoding/hex"
	"reflect"
	"testing"
	"time"

	"artesian/internal/account/price"
	"artesian/internal/faas"
)

// fullUsage has every field set.
func fullUsage() faas.Usage {
	return faas.Usage{RequestID: "r1", Account: "000000000000", Region: "us-east-1", Function: "f", Version: "$LATEST", Runtime: "python3.11",
		TraceID: "1-6733b1c0-0123456789abcdef01234567", Instance: "i7", Start: time.Unix(1_795_000_000, 5).UTC(), Outcome: faas.OutcomeOK,
		Cold: &faas.Cold{Way: faas.WayFork, Why: "no idle instance: 3 busy", Place: 1, Sandbox: 2, Runtime: 3, Init: 4},
		Idle: 5, Thawed: true, Ahead: true, Held: true, Queue: 6, Run: 7, Settle: 8, BilledMS: 9, CPU: 10, MemoryMB: 128, PeakMB: 11, BytesIn: 12, BytesOut: 13, TmpMB: 512}
}

func TestUsageKeepsEveryField(t *testing.T) {
	want := fullUsage()
	for v, i := reflect.ValueOf(want), 0; i < v.NumField(); i++ {
		if v.Field(i).IsZero() {
			t.Errorf("the test sets no %s", v.Type().Field(i).Name)
		}
	}
	got, err := decodeUsage(encodeUsage(&want).Data)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\n got %+v %+v\nwant %+v %+v", err, got, got.Cold, want, want.Cold)
	}
}

// TestOldReceipts: records that the first version wrote are read, and a version to come is refused.
func TestOldReceipts(t *testing.T) {
	const first = "01" + "027231" + "0c303030303030303030303030" + "0975732d656173742d31" + "0166" + "07244c4154455354" + "026f6b" +
		"809becaf0d" + "0a" + "0c" + "0e" + "12" + "14" + "8002" + "16" + "18" + "1a" + "8008" + "02" + "02" + "04" + "06" + "08"
	b, err := hex.DecodeString(first)
	if err != nil {
		t.Fatal(err)
	}
	want := fullUsage()
	want.Runtime, want.TraceID, want.Instance, want.Idle, want.Thawed, want.Ahead, want.Held, want.Settle = "", "", "", 0, false, false, false, 0
	want.Cold.Way, want.Cold.Why = "", ""
	got, err := decodeUsage(b)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\n got %+v %+v\nwant %+v %+v", err, got, got.Cold, want, want.Cold)
	}
	for _, version := range []byte{0, usageVersion + 1} {
		b[0] = version
		if _, err := decodeUsage(b); err == nil {
			t.Errorf("format %d was read", version)
		}
	}
}

// TestRows: a sum keeps what provisioned instances used, and one of the first version has nothing of that.
func TestRows(t *testing.T) {
	k := Key{Scope: faas.Scope{Account: "1", Region: "r"}, Function: "f", Version: "1", Day: 20_000}
	want := Sum{BilledMS: 9, Used: price.Quantity{Requests: 1, HeldMBs: 5, HeldRunMBs: 1}, Receiptless: 4}
	b := encodeRow(kindRow, k, &want).Data
	k2, got, err := decodeRow(b)
	if err != nil || k2 != k || got != want {
		t.Errorf("%v: %+v %+v", err, k2, got)
	}
	first := append([]byte{1}, b[1:len(b)-2]...) // the two numbers take a byte each
	want.Used.HeldMBs, want.Used.HeldRunMBs = 0, 0
	if _, got, err = decodeRow(first); err != nil || got != want {
		t.Errorf("the first version: %v: %+v", err, got)
	}
	b[0] = rowVersion + 1
	if _, _, err = decodeRow(b); err == nil {
		t.Error("a version to come was read")
	}
}
