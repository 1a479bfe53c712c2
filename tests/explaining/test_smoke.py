import time, json
from PIL import Image as P
from tests.explaining.conftest import *
def test_x(add, db, settings):
    from searchapp.services.verification import Subject
    from worker import verifying, features
    from searchapp.services import features as fs
    import worker.features as wf
    from worker.verifying import _verified
    pics=sorted(DEMO.glob("*.jpg"))[:12]
    imgs=[add(p.read_bytes()) for p in pics]
    big=P.open(pics[3]).convert("RGB")
    c=add(saved(big.crop((60,60,400,400)),"JPEG",quality=60))
    d=add(saved(big))
    for k in (1,2):
        t=time.time(); out=json.loads(_verified(Subject(image=imgs[3].pk),[c.pk,d.pk,*[i.pk for i in imgs]],2000)); print(time.time()-t)
    for pk,o in out["verified"].items(): print(pk,o["kind"],o["edits"],o["inliers"],o["reason"])
    print(Image.objects.values_list("features",flat=True))
    Image.objects.update(features=0)
    t=time.time(); wf.advance(); print("stage",time.time()-t, list(Image.objects.values_list("features",flat=True)), fs.left(), fs.waits())
